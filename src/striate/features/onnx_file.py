"""The ONNX file of a frozen network: made once, checked against torch, and kept.

Networks of our own are written layer by layer (`striate.architectures.to_onnx`); torch's exporter, which
takes some 8 s, makes that of any other.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import files
from striate.cache import cache_folder
from striate.errors import UserError
from striate.features.extractors import OnnxExtractor, TorchExtractor

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3
"""Largest difference between torch's features and those of the file, as a share of the features' scale."""


def read(key: str) -> OnnxExtractor | None:
    """Return the file that `make` kept under `key`; None if there is none, or not exactly that.

    It was checked when it was made; its bytes are compared with the checksum that was noted then.
    """
    path, record = _paths(key)
    try:
        content = path.read_bytes()
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["sha256"] != sha256(content).hexdigest():
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return OnnxExtractor(content)


def make(
    key: str, module: torch.nn.Module, images: np.ndarray, written: bytes | None = None
) -> OnnxExtractor | str:
    """Export `module`, compare it with torch on real images, and keep it.

    Args:
        key: what it is kept under.
        module: (N, C, H, W) to features (N, F).
        images: float32 (B, C, H, W), normalised, B at least 1.
        written: its ONNX file, where that is known; None: torch exports it.

    Returns:
        What computes the same features without torch; or why that is not to be had.
    """
    module.eval()
    try:
        content = export(module, images[:1]) if written is None else written
        extractor = OnnxExtractor(content)
        found = np.concatenate([extractor(image[None]) for image in images])
    except Exception as error:  # noqa: BLE001 (torch's exporter raises what it likes; torch still computes)
        return f"it cannot be exported ({' '.join(str(error).split())[:120] or type(error).__name__})"
    difference = disagreement(found, TorchExtractor(module)(images))
    if not difference <= TOLERANCE:
        return f"its ONNX form gives other features (by {difference:.2g} of their scale)"
    path, record = _paths(key)
    note = {"sha256": sha256(content).hexdigest(), "disagreement": difference}
    with contextlib.suppress(UserError):  # then it is made again the next time
        files.make_folder(path.parent)
        files.write_several({path: content, record: json.dumps(note).encode()})
    return extractor


def export(module: torch.nn.Module, example: np.ndarray) -> bytes:
    """Return `module` as an ONNX file that takes any number of images of the size of `example`."""
    import torch

    images = torch.from_numpy(np.concatenate([example[:1]] * 2))  # of one image the number would be fixed
    with _silence():
        program: Any = torch.onnx.export(
            module,
            (images,),
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            verbose=False,
        )
    content: bytes = program.model_proto.SerializeToString()
    return content


def disagreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference as a share of the scale: the root of the mean square of `theirs`."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = float(np.sqrt(np.square(theirs, dtype=np.float64).mean())) or 1.0
    return float(np.abs(ours - theirs).max()) / scale


def _paths(key: str) -> tuple[Path, Path]:
    stem = cache_folder() / "backbones" / f"features-{key[:40]}"
    return stem.with_suffix(".onnx"), stem.with_suffix(".json")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what the exporter says of its own workings away from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

"""A trained model in; an ONNX file out, which was compared with the model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from striate import files
from striate.errors import SpecError, StriateError, UserError
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from striate.inference.loading import Opened
    from striate.inference.onnx_graph import Agreement

    PathLike = str | os.PathLike[str]

ENDING = ".onnx"


@dataclass(frozen=True)
class Exported:
    """An ONNX file.

    Attributes:
        path: of the file.
        input_shape: (C, H, W) of its input.
        class_names: (K,), in the order of its outputs.
        bytes: its size.
        written_by: "striate" where its layers are described, else "torch".
        agreement: how far it and the model differ.
    """

    path: Path
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    bytes: int
    written_by: str
    agreement: Agreement


def export(
    model: PathLike, out: PathLike, *, engine: str = "torch", listener: Listener | None = None
) -> Exported:
    """Write a model as an ONNX file that needs no Striate: images in, logits and probabilities out.

    The file is compared with the model in ONNX Runtime before it takes its name. `docs/bundle.md` describes
    its input, outputs and metadata.

    Args:
        model: folder of a bundle or of a run.
        out: .onnx file to write.
        engine: what computes the model for the comparison: "torch"; or "numpy", which never imports torch.
        listener: hears how it goes.

    Raises:
        UserError: the model cannot be read or written as ONNX, or `out` cannot be used.
        StriateError: the file gives other numbers than the model; it is not written.
    """
    from striate.inference import onnx_graph
    from striate.inference.loading import open_bundle

    listener = listener or Listener()
    if Path(out).suffix.lower() != ENDING:
        raise UserError(f"cannot write {os.fspath(out)}: expected a name that ends in {ENDING}.")
    target = files.named_file(out)
    opened = open_bundle(Path(model), "cpu" if engine == "torch" else "auto", engine)
    record = opened.classifier.record
    onnx_graph.check_writable(record, opened.weights)
    listener.stage("exporting", 0, 1)
    network, written_by = _network(opened, engine)
    content = onnx_graph.complete(network, record, opened.classifier.output)
    agreement = onnx_graph.compare(content, opened.classifier)
    if not agreement.holds:
        raise StriateError(
            f"the ONNX file gives other numbers than {record.name} (logits by {agreement.logits:.2g}, "
            f"probabilities by {agreement.probabilities:.2g}), so {os.fspath(out)} is not written."
        )
    files.write_bytes(target, content)
    listener.stage("exporting", 1, 1)
    shape, names = record.preprocess.input_shape, record.class_names
    return Exported(Path(out), shape, names, len(content), written_by, agreement)


def _network(opened: Opened, engine: str) -> tuple[bytes, str]:
    """Return the network alone as an ONNX file, and who wrote it.

    Raises:
        UserError: neither Striate nor torch's exporter can.
    """
    from striate.architectures import Spec
    from striate.architectures.to_onnx import to_onnx

    preprocess, classes = opened.classifier.preprocess, len(opened.classifier.class_names)
    if isinstance(opened.description, Spec):
        try:
            return to_onnx(opened.description, preprocess.input_shape, classes, opened.weights), "striate"
        except SpecError as error:
            if engine != "torch":
                raise UserError(f"{error} PyTorch may export it: choose --engine torch.") from error
    return _of_torch(opened), "torch"


def _of_torch(opened: Opened) -> bytes:
    import numpy as np

    from striate.backbones.models import assemble
    from striate.features import onnx_file

    preprocess, names = opened.classifier.preprocess, opened.classifier.class_names
    network = assemble(opened.description, preprocess.input_shape, len(names), opened.weights)
    try:
        return onnx_file.export(network.eval(), np.zeros((1, *preprocess.input_shape), np.float32))
    except Exception as error:  # torch's exporter raises what it likes
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"{opened.classifier.record.name} cannot be written as ONNX: torch's exporter says {reason}"
        ) from error

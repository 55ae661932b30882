"""torchvision's classifiers. Imports torch: opened by `open_library` alone."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torchvision import models

from striate.backbones.libraries.library import Weights, fetch
from striate.backbones.preprocessing import Preprocessing
from striate.errors import SpecError

VERSION: str = torchvision.__version__
IGNORED = ("aux1.", "aux2.", "AuxLogits.")
"""Of GoogLeNet and Inception: further classifiers halfway, which are left out here."""
CLASSES = 1000
_WITH_AUXILIARY = ("googlenet", "inception_v3")
_OLD_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def names() -> Sequence[str]:
    """Return the names of all classifiers; quantized ones and those of other tasks are left out."""
    found: list[str] = models.list_models(module=models)
    return found


def has(name: str) -> bool:
    """Whether torchvision has a classifier of that name."""
    return name in names()


def arguments(name: str, size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the arguments of the network's function; vision transformers are built for one size."""
    if name in _WITH_AUXILIARY:
        # As with torchvision's own weights: normalised anew inside, and no classifiers halfway.
        return {"aux_logits": False, "transform_input": True, "init_weights": False}
    if name.startswith("vit_") and size is not None and size != preprocessing(name).size:
        return {"image_size": size[0]}
    return {}


def build(name: str, arguments: dict[str, Any]) -> tuple[torch.nn.Module, int]:
    """Return the network with random weights and the number of its outputs."""
    try:
        return models.get_model(name, weights=None, **arguments), CLASSES
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SpecError(f"torchvision {VERSION} cannot build {name} with {arguments}: {reason}") from error


def preprocessing(name: str) -> Preprocessing:
    """Return the transforms of the default weights."""
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    (side,), (resized,) = transforms.crop_size, transforms.resize_size
    return Preprocessing(
        size=(side, side),
        crop_share=side / resized,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def pretrained(name: str, arguments: dict[str, Any]) -> Weights:
    """Return the default weights, from torch's hub cache or by download, checked by their hash."""
    weights = models.get_model_weights(name).DEFAULT

    def load() -> dict[str, torch.Tensor]:
        with contextlib.redirect_stderr(io.StringIO()):  # torch announces a download there
            tensors: dict[str, torch.Tensor] = weights.get_state_dict(
                progress=False, check_hash=True, map_location="cpu", weights_only=True
            )
        return tensors

    cached = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name).is_file()
    tensors = fetch(name, weights.url, None if cached else weights.url, load)
    return Weights(tensors, f"torchvision {VERSION}, {weights}")


def modern(tensor_name: str) -> str:
    """Return today's name: files of DenseNet write `norm.1` for `norm1`."""
    return _OLD_DENSE_LAYER.sub(r"\1\2", tensor_name)

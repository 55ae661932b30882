"""Weights in a file of one's own: read without running anything, and fitted to a network tensor by tensor."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from striate.backbones.libraries import Weights
from striate.errors import UserError

if TYPE_CHECKING:
    import torch

WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema")
"""Keys under which training programs keep a network's tensors, in the order in which they are tried."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers of networks put before every name: data parallelism, compilation, Lightning."""
COUNTER = ".num_batches_tracked"
"""Of batch normalisation; files from before it existed lack it, and nothing here depends on it."""
_NAMED = 3


def read(path: Path) -> Weights:
    """Return the tensors in a safetensors file, or in a state dict that `torch.save` wrote.

    The latter is read with `weights_only=True`: what is more than tensors and plain values is refused, and
    nothing in it is run.

    Raises:
        UserError: there is no such file, it is damaged, holds no tensors, or holds code.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the weights {path}: {error.strerror or error}.") from error
    tensors = _named_tensors(path, _parse(path, content))
    digest = hashlib.sha256(content).hexdigest()
    return Weights(tensors, f"{path.name}, SHA-256 {digest}")


def fit(
    weights: Weights,
    expected: Mapping[str, Sequence[int]],
    in_head: Callable[[str], bool],
    network: str,
    ignored: Iterable[str] = (),
    modern: Callable[[str], str] = str,
) -> dict[str, torch.Tensor]:
    """Return, for each tensor outside the head, the one of `weights`, of the network's shape.

    Args:
        weights: as `read` or a library returned them; what belongs to the head is left out.
        expected: shape of every tensor of the network by name.
        in_head: whether a name is that of the head, new or old.
        network: its name, for messages.
        ignored: beginnings of names that a file may have without need.
        modern: returns today's name for one that may be of an older version.

    Raises:
        UserError: tensors are missing, unknown or of another shape; names the first ones.
    """
    tensors = {modern(name): tensor for name, tensor in weights.tensors.items()}
    given = {
        name: tensor
        for name, tensor in tensors.items()
        if not in_head(name) and not name.startswith(tuple(ignored))
    }
    wanted = {name: tuple(shape) for name, shape in expected.items() if not in_head(name)}
    missing = [name for name in wanted if name not in given and not name.endswith(COUNTER)]
    extra = [name for name in given if name not in wanted]
    misshapen = [
        f"{name} is {tuple(given[name].shape)} instead of {shape}"
        for name, shape in wanted.items()
        if name in given and tuple(given[name].shape) != shape
    ]
    problems = [
        _count(missing, "missing"),
        _count(extra, "not the network's"),
        _count(misshapen, "of another shape"),
    ]
    if any(problems):
        raise UserError(
            f"the weights in {weights.source.partition(',')[0]} do not fit {network}: "
            f"{'; '.join(problem for problem in problems if problem)}. Choose the --model they were made for."
        )
    return {name: given[name] for name in wanted if name in given}


def _count(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} {what} ({shown})"


def _parse(path: Path, content: bytes) -> Any:
    import safetensors.torch
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            return safetensors.torch.load(content)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, and opening it could run any code: refused, nothing in it was "
            "run. Save the tensors alone, with torch.save(network.state_dict(), ...) or as safetensors."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:150]
        raise UserError(
            f"{path} is not a whole file of weights: {reason}. Expected safetensors or a state dict of torch."
        ) from error


def _named_tensors(path: Path, content: Any) -> dict[str, torch.Tensor]:
    """Return the named tensors in what was read, freed of what training programs put around them."""
    import torch

    inside = content if isinstance(content, Mapping) else {}
    for key in WRAPPERS:
        if isinstance(inside.get(key), Mapping):
            inside = inside[key]
            break
    tensors = {str(name): value for name, value in inside.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no named tensors: expected the state dict of a network.")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    broken = next((n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()), None)
    if broken is not None:
        raise UserError(f"{path} holds NaN or infinity in {broken}: these weights are damaged.")
    return tensors

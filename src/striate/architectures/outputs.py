"""What networks put out, brought to one form."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from striate.errors import UserError, unknown_name
from striate.schemas import OUTPUTS

Values = TypeVar("Values")

SMALLEST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


def to_logits(raw: Values, output: str) -> Values:
    """Return logits whose softmax are the class probabilities.

    Args:
        raw: what a network put out, (N, K) for `logits` and `log_probabilities`, (N, 1) for one `logit` or
            one `probability` of the second class; a NumPy array or a torch tensor, any floating type.
        output: which of `striate.schemas.OUTPUTS` it is.

    Returns:
        (N, K), or (N, 2) for one-output networks: [0, z] for a logit z, [log(1 - p), log p] for a
        probability p. Of the same library as `raw`; float32, or float64 if `raw` is.

    Raises:
        UserError: `raw` is neither, as of a network that puts out a tuple or a dictionary.
    """
    if output not in OUTPUTS:
        raise ValueError(unknown_name("output", output, OUTPUTS))
    library, values = _as_float(raw)
    if values.ndim != 2:
        raise ValueError(f"raw outputs have shape {tuple(values.shape)}; expected (N, K).")
    if output in ("logits", "log_probabilities"):
        return values  # type: ignore[no-any-return]
    if values.shape[1] != 1:
        raise ValueError(
            f"raw outputs have shape {tuple(values.shape)}; expected (N, 1) for output {output!r}."
        )
    if output == "logit":
        pair = [library.zeros_like(values), values]
    else:
        inside = library.clip(values, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        pair = [library.log1p(-inside), library.log(inside)]
    return library.concatenate(pair, axis=1)  # type: ignore[no-any-return]


def _as_float(raw: Any) -> tuple[Any, Any]:
    """Return the library of `raw` (NumPy or torch) and its values as float32, or float64 if they are that."""
    if isinstance(raw, np.ndarray):
        return np, raw if raw.dtype == np.float64 else raw.astype(np.float32, copy=False)
    torch = sys.modules.get("torch")  # a tensor cannot exist before torch is imported
    if torch is not None and isinstance(raw, torch.Tensor):
        return torch, raw if raw.dtype == torch.float64 else raw.float()
    raise UserError(
        f"the network puts out {_described(raw)}; expected one tensor (N, K), the classes' scores. Wrap it "
        "in a module whose forward returns that tensor alone, as in `return self.network(x)[0]`."
    )


def _described(raw: object) -> str:
    """Return what a network put out that is no tensor, with the names or the number of its parts."""
    kind = type(raw).__name__
    if isinstance(raw, Mapping):
        return f"a {kind} of {', '.join(repr(key) for key in raw)}"
    return f"a {kind} of {len(raw)}" if isinstance(raw, tuple | list) else f"{kind}"

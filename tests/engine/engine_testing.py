"""Array libraries on which every operation is tried, and the comparison with torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_strict
import numpy as np
import torch

from striate.engine import backend

EXACT = 1e-10
"""float64: the same sums as torch's in another order, far above rounding and far below any mistake."""

CLOSE = 2e-5
"""float32: rounding of a few hundred summands, relative to the largest value."""


@dataclass(frozen=True)
class Library:
    """An array library: how its arrays are made from NumPy's, and what they must still be afterwards."""

    name: str
    make: Callable[[np.ndarray], Any]

    def make_all(self, arrays: list[Any]) -> list[Any]:
        return [self.make(one) if isinstance(one, np.ndarray) else one for one in arrays]


def _strict(values: np.ndarray) -> Any:
    """Only this device refuses NumPy's functions, as a GPU would."""
    return array_api_strict.asarray(values.copy(), device=array_api_strict.Device("device1"))


NUMPY = Library("numpy", lambda values: values.copy())

LIBRARIES = [
    NUMPY,
    Library("array-api-strict", _strict),
    Library("torch", torch.tensor),
]


def assert_close(ours: Any, reference: Any, tolerance: float = EXACT, what: str = "value") -> None:
    """Compare with `reference` (torch or NumPy), relative to its largest finite value."""
    expected = reference.detach().numpy() if isinstance(reference, torch.Tensor) else np.asarray(reference)
    found = backend.to_numpy(ours)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def compare(
    library: Library,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    reference: Callable[..., torch.Tensor],
    arrays: list[Any],
    dtype: str = "float64",
) -> None:
    """Check value and gradients of an operation against torch's.

    Args:
        library: to which the arrays are brought.
        forward: y for the arrays.
        backward: for grad_output and the arrays, the gradient of the first, or a tuple for the first few.
        reference: the same in torch.
        arrays: NumPy arrays (floating ones become `dtype`), or None.
        dtype: float64 or float32.
    """
    typed = [_cast(one, dtype) for one in arrays]
    ours = library.make_all(typed)
    tensors = [torch.tensor(one) if isinstance(one, np.ndarray) else one for one in typed]
    tolerance = EXACT if dtype == "float64" else CLOSE
    y = forward(*ours)
    grad_output = np.random.default_rng(7).normal(size=tuple(y.shape)).astype(dtype)
    returned = backward(library.make(grad_output), *ours)
    grads = returned if isinstance(returned, tuple) else (returned,)
    for tensor, grad in zip(tensors, grads, strict=False):
        if grad is not None:
            tensor.requires_grad_()
    expected = reference(*tensors)
    expected.backward(torch.tensor(grad_output))
    assert_close(y, expected, tolerance)
    for number, grad in enumerate(grads):
        if grad is not None:
            assert_close(grad, tensors[number].grad, tolerance, f"gradient of argument {number}")
    for result in (y, *(grad for grad in grads if grad is not None)):
        assert dtype in str(result.dtype)
        assert backend.device(result) == backend.device(ours[0])
    for before, after in zip(typed, ours, strict=True):
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(backend.to_numpy(after), before, "an input was changed")


def _cast(value: Any, dtype: str) -> Any:
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value

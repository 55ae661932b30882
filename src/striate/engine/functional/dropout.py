"""Dropout: silencing values at random while training."""

from __future__ import annotations

import numpy as np

from striate.engine.backend import (
    Array,
    check_float,
    check_generator,
    check_number,
    check_shape,
    from_numpy,
    namespace,
    zeros,
)
from striate.engine.elementwise import elementwise


def dropout(
    x: Array,
    p: float = 0.5,
    training: bool = True,
    *,
    generator: np.random.Generator | None = None,
    mask: Array | None = None,
    return_saved: bool = False,
) -> Array:
    """Return x * mask / (1 - p), where the mask is False with probability p; x itself if not training.

    The division keeps the mean: E[mask / (1 - p)] = 1 (Srivastava et al. 2014; here the values are scaled
    while training, so that nothing is left to do afterwards). Saved: the mask.

    Args:
        x: any shape.
        p: from 0 to 1; at 1 everything becomes 0.
        training: whether anything is dropped.
        generator: draws the mask. It is NumPy's whatever library x belongs to, so that all engines and
            devices can drop the same values.
        mask: bool, shape of x, True for what stays; takes the generator's place.
        return_saved: return (y, mask), with None for the mask where nothing was dropped.

    Raises:
        ValueError: p out of range, or neither generator nor mask where something is to be dropped.
    """
    check_float(x=x)
    check_probability("p", p)
    if not training or p == 0:
        return (x, None) if return_saved else x
    if mask is None:
        if generator is None:
            raise ValueError("generator: expected numpy.random.default_rng(seed), or a mask, got neither")
        mask = draw_mask(x, p, generator)
    y = _apply(x, mask, p)
    return (y, mask) if return_saved else y


def dropout_backward(grad_output: Array, mask: Array | None, p: float = 0.5) -> Array:
    """Return grad_output * mask / (1 - p): the output is x times a constant, element by element.

    Args:
        grad_output: of the output's shape.
        mask: what the forward returned with `return_saved=True`; drawn at random, it cannot be computed
            again. None where nothing was dropped: then grad_output itself is returned.
        p: as in the forward.
    """
    check_float(grad_output=grad_output)
    check_probability("p", p)
    return grad_output if mask is None else _apply(grad_output, mask, p)


def draw_mask(x: Array, p: float, generator: np.random.Generator) -> Array:
    """Return a mask for x: True, "stays", with probability 1 - p, to 32 binary digits.

    Raises:
        TypeError: no floating x, no number, or no generator.
        ValueError: p is no probability.
    """
    check_float(x=x)
    check_probability("p", p)
    check_generator("generator", generator)
    draws = generator.integers(0, 2**32, size=tuple(x.shape), dtype=np.uint32)
    return from_numpy(draws >= np.uint32(min(round(p * 2**32), 2**32 - 1)), x)


def check_probability(name: str, value: float) -> None:
    """Refuse what is no number from 0 to 1."""
    check_number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a probability from 0 to 1, got {value}")


def _apply(values: Array, mask: Array, p: float) -> Array:
    check_shape("mask", mask, values.shape)
    if not namespace(values, mask).isdtype(mask.dtype, "bool"):
        raise TypeError(f"mask: expected bool, True for what stays, got {mask.dtype}")
    if p == 1:
        return zeros(values.shape, values)
    scale = 1 / (1 - p)
    return elementwise(lambda v, m: v * (namespace(v).astype(m, v.dtype) * scale), values, mask)

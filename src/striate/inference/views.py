"""Small changes of an image over which logits are averaged when a network is tested: mirrored, shifted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from striate.errors import UserError, unknown_name

View = Callable[[np.ndarray], np.ndarray]
"""From uint8 (B, C, H, W) to the same."""


def _as_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _mirrored(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[..., ::-1])


def _shifted(step: int) -> View:
    """Return a shift by a pixel, down and right (`step` 1) or up and left (-1), reflecting at the border."""

    def shift(pixels: np.ndarray) -> np.ndarray:
        padded = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        height, width = pixels.shape[2:]
        first = 1 - step
        return np.ascontiguousarray(padded[:, :, first : first + height, first : first + width])

    return shift


def _both(view: View) -> View:
    return lambda pixels: _mirrored(view(pixels))


_SHIFTS = (_shifted(1), _shifted(-1))

TEST_VIEWS: dict[str, tuple[tuple[View, float], ...]] = {
    "one": ((_as_is, 1.0),),
    "mirrored": ((_mirrored, 1.0),),
    "flip": ((_as_is, 0.5), (_mirrored, 0.5)),
    "shift": ((_as_is, 0.5), *((shift, 0.25) for shift in _SHIFTS)),
    "flip-shift": (
        (_as_is, 0.25),
        (_mirrored, 0.25),
        *((shift, 0.125) for shift in _SHIFTS),
        *((_both(shift), 0.125) for shift in _SHIFTS),
    ),
}
"""By name, the views and their weights, which add up to 1; the image as it is weighs as much as its shifts.

Source: the six views of airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", sec. 3.5).
"""


def check_views(name: str) -> str:
    """Return `name`, one of `TEST_VIEWS`.

    Raises:
        UserError: it is none.
    """
    if name not in TEST_VIEWS:
        raise UserError(unknown_name("views", name, TEST_VIEWS))
    return name


def averaged(logits_of: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, views: str) -> np.ndarray:
    """Return the weighted mean of the logits over `views`.

    Args:
        logits_of: from uint8 (B, C, H, W) to float32 (B, K).
        pixels: uint8 (B, C, H, W), sides of at least 2.
        views: one of `TEST_VIEWS`.

    Returns:
        float32 (B, K).
    """
    parts = [np.float32(weight) * logits_of(view(pixels)) for view, weight in TEST_VIEWS[views]]
    return np.asarray(np.sum(parts, axis=0, dtype=np.float32))

"""First-layer kernels as a page."""

from __future__ import annotations

import numpy as np

from striate.explain.first_layer import FirstKernels, as_images
from striate.explain.gallery import Gallery, Tile, tile, uri


def gallery_of(kernels: FirstKernels) -> Gallery:
    """Return what the page shows: each kernel beside the filter it resembles most, and the film."""
    count, channels, height, width = kernels.weights.shape
    lead = (
        f"Each kernel of {kernels.layer}, {height} x {width} weights for {_inputs(channels)}: grey is 0, and "
        "brighter is more, in each at its own contrast. At its right, in its colour, the Gabor or Sobel "
        "filter that it resembles most, with their cosine similarity.",
        f"Small kernels resemble some filter by chance: of random ones of this size one in twenty reaches "
        f"{kernels.chance:.2f}. Here {len(kernels.resembling)} of {count} do, and no blur as much.",
    )
    found = as_images(np.stack([match.weights for match in kernels.matches]))
    tiles = tuple(_tile(kernels, number, found[number]) for number in range(count))
    film = ("", "")
    if len(kernels.course) > 1:
        film = (uri(kernels.film(), "gif"), f"The kernels through {max(kernels.course)} epochs of training")
    title = f"What {kernels.model} looks for first: {count} kernels"
    return Gallery("First convolution", title, lead, tiles, film=film)


def _tile(kernels: FirstKernels, number: int, found: np.ndarray) -> Tile:
    match = kernels.matches[number]
    kind, _, rest = match.name.partition(", ")
    lines = [f"{kind} {match.score:.2f}", *([rest] if rest else [])]
    doubt = ""
    if match.is_blur:
        doubt = f"as much like a blur, {match.blur:.2f}"
    elif match.score < kernels.chance:
        doubt = "no more than by chance"
    pictures = [(kernels.images[number], f"kernel {number}"), (found, match.name)]
    return tile(f"kernel {number}", pictures, [*lines, doubt] if doubt else lines, bool(doubt))


def _inputs(channels: int) -> str:
    return "grey images" if channels == 1 else "each of red, green and blue"

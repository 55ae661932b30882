"""The kernels that the page offers, by name."""

from __future__ import annotations

import numpy as np


def kernels() -> dict[str, np.ndarray]:
    """Return float64 kernels, as a cross-correlation lays them on the picture.

    Sources: Sobel's operators in Gonzalez and Woods, Digital Image Processing, sec. 10.2; the outline is the
    Laplacian with eight neighbours, sec. 3.6.
    """
    ramp, smooth = np.array([-1, 0, 1]), np.array([1, 2, 1])
    outline = np.full((3, 3), -1)
    outline[1, 1] = 8
    sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    diagonal = np.array([[2, 1, 0], [1, 0, -1], [0, -1, -2]])
    copy = np.zeros((3, 3))
    copy[1, 1] = 1
    found = {
        "sobel_x": np.outer(smooth, ramp),
        "sobel_y": np.outer(ramp, smooth),
        "laplacian": outline,
        "diagonal": diagonal,
        "blur": np.outer(smooth, smooth) / 16,
        "sharpen": sharpen,
        "identity": copy,
    }
    return {name: kernel.astype(float) for name, kernel in found.items()}

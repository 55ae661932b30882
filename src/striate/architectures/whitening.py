"""A first layer that is computed instead of learned: kernels that make image patches uncorrelated.

Neighbouring pixels say nearly the same. Kernels along the principal directions of patches, each divided by
the deviation there, put out numbers that are uncorrelated and of one size, which the layers behind learn
from faster.

Source: Coates and Ng 2012, "Learning feature representations with k-means", sec. 3.2 (whitening of patches);
Page 2019, "How to train your ResNet", part 8, and Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single
GPU", sec. 3.2 (as a first layer).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.architectures.arguments import both
from striate.architectures.layers import Conv2d
from striate.architectures.shapes import infer_shapes
from striate.architectures.spec import Spec
from striate.errors import SpecError

_EPSILON = 5e-4  # added to variances, so that directions in which patches hardly differ are not blown up


def whitening_kernels(images: np.ndarray, kernel_size: tuple[int, int], count: int) -> np.ndarray:
    """Return kernels that whiten the patches of `images`, and their negatives, strongest direction first.

    Args:
        images: float32 (N, C, H, W), as the network sees them.
        kernel_size: (kH, kW).
        count: kernels wanted; of C * kH * kW directions there are as many pairs at most.

    Returns:
        float32 (min(count, 2 * C * kH * kW), C, kH, kW): kernel, negative, kernel, negative, ...
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel_size, axis=(2, 3))
    patches = np.moveaxis(windows, 1, 3).reshape(-1, images.shape[1] * kernel_size[0] * kernel_size[1])
    covariance = (patches.T @ patches).astype(np.float64) / len(patches)
    variances, directions = np.linalg.eigh(covariance)
    rows = (directions / np.sqrt(variances + _EPSILON)).T[::-1]
    pairs = np.stack([rows, -rows], axis=1).reshape(-1, images.shape[1], *kernel_size)
    return pairs[:count].astype(np.float32)


def first_convolution(
    spec: Spec, input_shape: Sequence[int], num_classes: int
) -> tuple[str, tuple[int, int], int]:
    """Return path, kernel size and output channels of the layer whose kernels may be computed.

    Raises:
        SpecError: the network does not begin with a convolution over all channels.
    """
    step = infer_shapes(spec, input_shape, num_classes)[0]
    if not isinstance(step.layer, Conv2d) or step.layer.groups != 1:
        raise SpecError(
            f"whitening needs a network that begins with a convolution; this one begins with "
            f"{step.layer.kind} {step.name}. Leave out --first-layer."
        )
    return step.path, both(step.layer.kernel_size), int(step.layer.out_channels)

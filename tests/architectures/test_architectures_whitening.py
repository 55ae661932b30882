"""Whitening kernels: outputs that are uncorrelated and of variance one."""

from __future__ import annotations

import numpy as np
import pytest

from striate.architectures import first_convolution, load_spec, whitening_kernels
from striate.errors import SpecError


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth noise, whose neighbouring pixels and channels are alike: float32 (200, 3, 9, 9)."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(200, 3, 11, 11))
    smooth = sum(noise[:, :, y : y + 9, x : x + 9] for y in range(3) for x in range(3))
    return (smooth + smooth.mean(axis=1, keepdims=True)).astype(np.float32)


def responses(images: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """(number of patches, number of kernels), by a plain loop."""
    size = kernels.shape[2]
    found = [
        np.einsum("ncyx,kcyx->nk", images[:, :, y : y + size, x : x + size], kernels)
        for y in range(images.shape[2] - size + 1)
        for x in range(images.shape[3] - size + 1)
    ]
    return np.concatenate(found)


def test_responses_are_uncorrelated_and_of_size_one(images: np.ndarray) -> None:
    kernels = whitening_kernels(images, (2, 2), 24)
    found = responses(images, kernels[::2])  # the others are their negatives
    assert np.allclose(found.T @ found / len(found), np.eye(12), atol=2e-3)  # epsilon shrinks the weakest


def test_each_kernel_is_followed_by_its_negative(images: np.ndarray) -> None:
    kernels = whitening_kernels(images, (2, 2), 24)
    assert np.array_equal(kernels[1::2], -kernels[::2])


def test_fewer_kernels_are_those_of_the_strongest_directions(images: np.ndarray) -> None:
    some, more = whitening_kernels(images, (3, 3), 10), whitening_kernels(images, (3, 3), 54)
    assert np.array_equal(some, more[:10])
    norms = np.linalg.norm(more.reshape(54, -1), axis=1)[::2]
    assert (np.diff(norms) > -1e-6).all()  # the stronger a direction, the smaller its kernel


def test_there_are_no_more_kernels_than_directions_and_their_negatives(images: np.ndarray) -> None:
    assert len(whitening_kernels(images[:, :1], (2, 2), 24)) == 8


def test_a_network_that_does_not_begin_with_a_convolution_is_refused() -> None:
    with pytest.raises(SpecError, match="begins with flatten"):
        first_convolution(load_spec("mlp"), (3, 8, 8), 10)

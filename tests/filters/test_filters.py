"""Classic filters, against SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage import filters as skimage_filters

from striate import filters
from striate.errors import UserError
from striate.filters import KERNELS, apply, bank, box, gabor, gaussian, magnitude, named

TOLERANCE = 1e-9
"""Sums of up to some hundred float64 products of values up to 255, in another order."""
SCIPY_BORDERS = {
    "zero": "constant",
    "edge": "nearest",
    "nearest": "nearest",
    "reflect": "mirror",
    "mirror": "mirror",
    "symmetric": "reflect",
    "wrap": "grid-wrap",
}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Grey noise of an odd size, (17, 12)."""
    return np.random.default_rng(0).uniform(0, 255, (17, 12))


# Applying


@pytest.mark.parametrize("name", [*KERNELS, "box-4", "box-5", "gaussian-6", "gaussian-7"])
@pytest.mark.parametrize("border", SCIPY_BORDERS)
def test_correlation_and_convolution_are_scipys(image: np.ndarray, name: str, border: str) -> None:
    weights, mode = named(name).weights, SCIPY_BORDERS[border]
    correlated = apply(image, name, border=border)
    convolved = apply(image, name, operation="convolution", border=border)
    np.testing.assert_allclose(correlated, ndimage.correlate(image, weights, mode=mode), atol=TOLERANCE)
    np.testing.assert_allclose(convolved, ndimage.convolve(image, weights, mode=mode), atol=TOLERANCE)


def test_a_kernel_larger_than_the_image_goes_on_with_its_border() -> None:
    image = np.arange(12.0).reshape(3, 4)
    expected = ndimage.correlate(image, gaussian(11).weights, mode="grid-wrap")
    np.testing.assert_allclose(apply(image, "gaussian-11", border="wrap"), expected, atol=TOLERANCE)


def test_a_border_that_is_not_there_leaves_a_smaller_response(image: np.ndarray) -> None:
    response = apply(image, "sobel-x", border="valid")
    assert response.shape == (15, 10)
    np.testing.assert_array_equal(response, apply(image, "sobel-x")[1:-1, 1:-1])


def test_each_channel_is_filtered_by_itself_and_their_sum_is_what_a_network_computes() -> None:
    colour = np.random.default_rng(1).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    each = apply(colour, "diagonal-edge")
    for channel in range(3):
        np.testing.assert_array_equal(each[..., channel], apply(colour[..., channel], "diagonal-edge"))
    weight = torch.tensor(named("diagonal-edge").weights.copy()).expand(1, 3, 3, 3)
    network = torch.nn.functional.conv2d(
        torch.tensor(colour).double().permute(2, 0, 1)[None], weight, padding=1
    )
    np.testing.assert_allclose(apply(colour, "diagonal-edge", channels="sum"), network[0, 0], atol=TOLERANCE)


def test_an_image_of_pillow_or_of_whole_numbers_gives_what_its_numbers_give() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (6, 7), dtype=np.uint8)
    expected = apply(pixels.astype(np.float64), "laplacian")
    np.testing.assert_array_equal(apply(pixels, "laplacian"), expected)
    np.testing.assert_array_equal(apply(Image.fromarray(pixels), "laplacian"), expected)


# Kernels


def test_derivatives_tell_the_slope_of_a_ramp_and_nothing_of_a_flat_image() -> None:
    ramp = np.tile(np.arange(8.0), (8, 1))
    for name, gain in (("sobel", 8), ("prewitt", 6), ("scharr", 32)):
        assert apply(ramp, f"{name}-x", border="valid") == pytest.approx(gain)
        assert apply(ramp.T, f"{name}-y", border="valid") == pytest.approx(gain)
        assert apply(ramp, f"{name}-y", border="valid") == pytest.approx(0)
    for name in ("laplacian", "edge-detect", "roberts-x", "roberts-y", "diagonal-edge"):
        assert not apply(np.ones((5, 5)), name, border="valid").any()


def test_derivatives_are_scikit_images_whose_smoothing_sums_to_1(image: np.ndarray) -> None:
    for name, gain in (("sobel", 4), ("prewitt", 3), ("scharr", 16)):
        theirs = getattr(skimage_filters, name)(image, axis=1, mode="reflect")
        ours = apply(image, f"{name}-x", border="symmetric")
        np.testing.assert_allclose(ours, gain * theirs, atol=TOLERANCE)


def test_kernels_of_the_courses_have_their_numbers() -> None:
    assert named("diagonal-edge").weights.tolist() == [[0, 1, 0], [1, 0, -1], [0, -1, 0]]
    assert named("horizontal-edge").weights.tolist() == [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    assert named("diagonal").weights.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert named("edge-detect").weights.tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]


@pytest.mark.parametrize("size", range(1, 7))
def test_box_is_the_depth_wise_mean_of_its_size(image: np.ndarray, size: int) -> None:
    images = torch.tensor(image)[None, None]
    mean = torch.nn.functional.avg_pool2d(images, size, stride=1)[0, 0]
    np.testing.assert_allclose(apply(image, box(size), border="valid"), mean, atol=TOLERANCE)


def test_blurs_keep_a_flat_image_and_gaussian_has_its_deviation() -> None:
    for kernel in (box(4), gaussian(4), gaussian(9, 1.5), named("sharpen"), named("emboss")):
        assert kernel.keeps_brightness
        assert apply(np.full((5, 5), 7.0), kernel, border="edge") == pytest.approx(7)
    wide = gaussian(61, sigma=5.0).weights.sum(axis=0)
    offsets = np.arange(61) - 30
    assert np.sqrt((wide * offsets**2).sum()) == pytest.approx(5, rel=1e-6)
    assert not named("sobel-x").keeps_brightness


def test_every_kernel_says_what_it_finds_and_where_it_comes_from() -> None:
    for name, kernel in KERNELS.items():
        assert (kernel.name, bool(kernel.about)) == (name, True)
        assert kernel.source or name == "identity"
        with pytest.raises(ValueError, match="read-only"):
            kernel.weights[0, 0] = 1


# Gabor


@pytest.mark.parametrize(
    ("frequency", "theta", "sigma"), [(0.1, 0.0, 1.0), (0.2, np.pi / 4, 3.0), (0.3, 3.14, None)]
)
def test_gabor_magnitude_is_scikit_images(frequency: float, theta: float, sigma: float | None) -> None:
    image = np.random.default_rng(3).uniform(0, 1, (40, 50))
    standard = (image - image.mean()) / image.std()
    real, imaginary = skimage_filters.gabor(
        standard, frequency, theta=theta, sigma_x=sigma, sigma_y=sigma, mode="wrap"
    )
    found = magnitude(image, gabor(frequency, theta, sigma))
    np.testing.assert_allclose(found, np.sqrt(real**2 + imaginary**2), atol=1e-6)  # their kernel is complex64


def test_gabor_answers_loudest_to_stripes_of_its_own_frequency_and_direction() -> None:
    x = np.tile(np.arange(64), (64, 1))
    stripes = np.sin(2 * np.pi * 0.125 * x)
    answers = {
        (frequency, degrees): magnitude(stripes, gabor(frequency, np.deg2rad(degrees), 3.0)).mean()
        for frequency in (0.06, 0.125, 0.25)
        for degrees in (0, 45, 90)
    }
    assert max(answers, key=answers.__getitem__) == (0.125, 0)


def test_a_bank_holds_all_combinations_and_answers_for_every_image() -> None:
    kernels = bank((0.1, 0.2), (0.0, 0.5), (1.0, 3.0))
    assert len({kernel.about for kernel in kernels}) == 8
    images = [np.random.default_rng(seed).uniform(0, 1, (20, 16)) for seed in range(3)]
    found = filters.respond(images, kernels)
    assert (len(found.magnitudes), len(found.magnitudes[0])) == (8, 3)
    np.testing.assert_array_equal(found.magnitudes[5][2], magnitude(images[2], kernels[5]))


def test_a_flat_image_answers_to_nothing_of_zero_mean() -> None:
    assert not magnitude(np.full((9, 9), 3.0), gabor(0.2)).any()


# Curves


@pytest.mark.parametrize("name", filters.FUNCTIONS)
def test_slopes_of_curves_are_torchs(name: str) -> None:
    x, value, slope = filters.FUNCTIONS[name].points(101)
    inputs = torch.tensor(x, requires_grad=True)
    outputs = _torch_value(name, inputs)
    outputs.sum().backward()
    np.testing.assert_allclose(value, outputs.detach().numpy(), atol=TOLERANCE)
    np.testing.assert_allclose(slope, inputs.grad.numpy(), atol=TOLERANCE)


def _torch_value(name: str, x: torch.Tensor) -> torch.Tensor:
    ones, zeros = torch.ones_like(x), torch.zeros_like(x)
    functional = torch.nn.functional
    if name == "linear":
        return 1.0 * x
    if name == "squared-error":
        return functional.mse_loss(x, zeros, reduction="none")
    if name == "binary-cross-entropy":
        return functional.binary_cross_entropy_with_logits(x, ones, reduction="none")
    if name == "cross-entropy":
        return functional.cross_entropy(torch.stack([x, zeros], 1), zeros.long(), reduction="none")
    return getattr(functional, name.replace("-", "_"))(x)


def test_curves_span_what_the_assignment_drew() -> None:
    spans = {name: (one.low, one.high) for name, one in filters.FUNCTIONS.items()}
    assert spans["linear"] == spans["relu"] == (-1, 1)
    assert spans["sigmoid"] == (-10, 10)
    assert spans["squared-error"] == (-2, 2)


# Bad input


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda image: apply(image, "sobl-x"), "unknown kernel 'sobl-x': did you mean 'sobel-x'"),
        (lambda image: apply(image, "box-0"), "the size of the kernel is 0"),
        (lambda image: apply(image, "gaussian-999"), "expected 1 to 255 pixels"),
        (lambda image: apply(image, [[1, 2], [3]]), "rows of one length"),
        (lambda image: apply(image, np.ones(3)), r"shape \(3,\)"),
        (lambda image: apply(image, [[np.nan]]), "not finite"),
        (lambda image: apply(image, "box-3", border="reflekt"), "did you mean 'reflect'"),
        (lambda image: apply(image, "box-3", operation="both"), "unknown operation"),
        (lambda image: apply(image, "box-3", channels="all"), "unknown channels"),
        (lambda image: apply(image, "box-31", border="valid"), "larger than the image of 17 x 12"),
        (lambda image: apply(np.ones(4), "box-3"), r"shape \(4,\)"),
        (lambda image: apply(np.full((3, 3), np.inf), "box-3"), "not finite"),
        (lambda image: apply(np.array([["a"]]), "box-3"), "real numbers"),
        (lambda image: gabor(0.0), "frequency is 0.0; expected a number above 0"),
        (lambda image: gabor(1.5), "at most 1 period"),
        (lambda image: gabor(0.1, sigma=0), "sigma is 0"),
        (lambda image: gabor(0.1, theta=np.nan), "angle in radians"),
        (lambda image: gabor(0.0001), "smaller sigma or a larger frequency"),
        (lambda image: filters.functions(["reluu"]), "did you mean 'relu'"),
    ],
)
def test_bad_input_is_told(image: np.ndarray, call, text: str) -> None:
    with pytest.raises(UserError, match=text):
        call(image)

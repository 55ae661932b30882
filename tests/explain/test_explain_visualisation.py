"""Gradient ascent raises what it is to raise: channels, single numbers, classes; nothing stays behind."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from conftest import SHAPES, SIDE, untrained
from striate.errors import UserError
from striate.explain import ASCENTS, Ascent, Subject, ascent, visualise, visualise_classes
from striate.explain.activation_figures import image_grid
from striate.explain.ascent import moved, total_variation
from striate.explain.objectives import outputs_at, takes
from striate.explain.parametrisation import PARAMETRISATIONS, fourier_pixels, spectrum_scales
from striate.explain.subject import held

EXACT = 1e-4
"""Of values in 0..1: float32 transforms there and back."""
QUICK = Ascent(steps=12)


def test_fourier_form_is_the_inverse_transform() -> None:
    shape = (1, 12, 10)
    values = torch.randn((2, 1, 12, 6, 2), generator=torch.Generator().manual_seed(0))
    spectrum = values.numpy()[..., 0] + 1j * values.numpy()[..., 1]
    logits = np.fft.irfft2(spectrum * spectrum_scales(shape).numpy(), s=shape[1:], norm="ortho")
    assert np.abs(fourier_pixels(values, shape).numpy() - 1 / (1 + np.exp(-logits))).max() < EXACT


def test_fourier_scales_fall_as_one_over_the_frequency() -> None:
    scales = spectrum_scales((3, 16, 16))
    assert scales[0, 2] / scales[0, 4] == pytest.approx(2)
    assert scales[3, 4] == pytest.approx(scales[0, 5])
    assert scales[0, 0] == scales[0, 1] == scales.max()


@pytest.mark.parametrize("name", PARAMETRISATIONS)
@pytest.mark.parametrize("shape", [(3, 9, 14), (1, 8, 7)])
def test_forms_turn_images_to_values_and_back(name: str, shape: tuple[int, int, int]) -> None:
    form = PARAMETRISATIONS[name]
    images = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    assert (form.decode(form.encode(images), shape) - images).abs().max() < EXACT


def test_colours_of_noise_are_correlated_as_in_photos() -> None:
    values = 0.1 * torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    image = torch.logit(PARAMETRISATIONS["pixel"].decode(values, (3, 64, 64)))[0].reshape(3, -1)
    found = torch.corrcoef(image).numpy()[[0, 0, 1], [1, 2, 2]]
    assert found == pytest.approx([0.89, 0.76, 0.90], abs=0.02)  # red-green, red-blue, green-blue


@pytest.mark.parametrize("name", ASCENTS)
def test_ascent_raises_every_channel(shapes: Subject, name: str) -> None:
    how = ASCENTS[name]
    made = visualise(shapes, "conv3", how=replace(how, steps=max(4, 40 // how.sizes)), size=SIDE)
    assert made.channels == tuple(range(16))
    assert (made.after > made.before).all()
    assert made.images.shape == (16, 3, SIDE, SIDE)
    assert made.images.dtype == np.uint8


def test_image_excites_the_network_as_much_as_is_said(shapes: Subject) -> None:
    made = visualise(shapes, "conv2", [3, 5], QUICK)
    inputs = shapes.tensor(np.zeros((2, 3, SIDE, SIDE), np.uint8))
    assert made.images.shape[2:] == (64, 64) != inputs.shape[2:]  # a convolution takes larger images
    normalised = (torch.from_numpy(made.images) / 255 - 0.5) / 0.25
    with torch.no_grad():
        found = (
            nn.Sequential(*list(shapes.network.children())[:4])(normalised)[[0, 1], [3, 5]]
            .mean(dim=(1, 2))
            .numpy()
        )
    assert made.after == pytest.approx(found, rel=0.02)  # rounded to 256 levels


def test_class_and_single_number_rise(shapes: Subject) -> None:
    classes = visualise_classes(shapes, how=replace(QUICK, steps=30))
    assert classes.names == SHAPES
    assert (classes.after > classes.before).all()
    one = visualise(shapes, "conv3", [1], replace(QUICK, steps=60, variation=0.0), place=(5, 7))
    assert one.after > one.before
    still = one.images[0, :, -4:].astype(int)  # far from what this number sees, the noise is as it was
    assert np.ptp(still, axis=(1, 2)).max() < np.ptp(one.images[0].astype(int), axis=(1, 2)).max()


def test_what_goes_into_an_activation_is_raised(shapes: Subject) -> None:
    with held(shapes.network):
        images = torch.full((1, 3, SIDE, SIDE), 0.4)
        before, after = (outputs_at(shapes, layer, images) for layer in ("conv2", "relu2"))
    assert torch.equal(before, after)
    assert before.min() < 0


def test_many_images_climb_as_each_does_alone(shapes: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    how = replace(QUICK, steps=3, jitter=0, scale=0, rotate=0)  # each step doubles what rounding did
    together = visualise(shapes, "conv2", [0, 1, 2], how).images
    monkeypatch.setattr(ascent, "PART_PIXELS", 1)
    apart = visualise(shapes, "conv2", [0, 1, 2], how).images
    assert np.abs(together.astype(int) - apart).max() <= 2  # 256 levels; float32 sums in another order


def test_same_seed_gives_the_same_images(shapes: Subject) -> None:
    first, second = (visualise(shapes, "conv2", [3, 5], QUICK) for _ in range(2))
    assert np.array_equal(first.images, second.images)
    other = visualise(shapes, "conv2", [3, 5], replace(QUICK, seed=1))
    assert not np.array_equal(first.images, other.images)


def test_moves_shift_scale_and_turn() -> None:
    image = torch.zeros((1, 1, 33, 33))
    image[0, 0, 16, 20:28] = 1
    still = Ascent(jitter=0, scale=0, rotate=0)
    assert torch.equal(moved(image, still, torch.Generator()), image)
    for change in ({"jitter": 0.2}, {"scale": 0.3}, {"rotate": 40.0}):
        generator = torch.Generator().manual_seed(1)
        assert (moved(image, replace(still, **change), generator) - image).abs().max() > 0.5
    turned = moved(image, replace(still, rotate=90.0), torch.Generator().manual_seed(1))
    assert turned.sum() == pytest.approx(8, rel=0.2)  # a turn keeps the bar as long as it was


def test_total_variation_smooths(shapes: Subject) -> None:
    how = replace(QUICK, parametrisation="pixel", lr=0.1)
    rough, smooth = (
        visualise(shapes, "conv2", [1, 2], replace(how, variation=variation)).images
        for variation in (0.0, 20.0)
    )
    assert (
        total_variation(torch.from_numpy(smooth / 255)) < total_variation(torch.from_numpy(rough / 255))
    ).all()


def test_blur_between_sizes_smooths(shapes: Subject) -> None:
    how = replace(ASCENTS["multi-scale"], steps=1, sizes=3)
    rough, smooth = (visualise(shapes, "conv2", [1], replace(how, blur=side)).images for side in (0, 5))
    assert (
        total_variation(torch.from_numpy(smooth / 255)) < total_variation(torch.from_numpy(rough / 255))
    ).all()


def test_images_of_a_size_that_the_network_cannot_take_are_resized(shapes: Subject) -> None:
    assert not takes(shapes, "conv3", (1, 1))
    assert takes(shapes, "conv3", (40, 30))
    made = visualise_classes(shapes, [1], QUICK, size=50)
    assert made.images.shape == (1, 3, 50, 50)


def test_network_is_as_before_and_bad_input_is_refused() -> None:
    subject = untrained()
    subject.network.train()
    for layer, options, text in (
        ("conv9", {}, "no layer 'conv9'"),
        ("conv2", {"channels": [16]}, "channel 16 is"),
        (
            "conv2",
            {"channels": [1], "place": (12, 0)},
            "row 12, column 0 is out of range: the maps .* 12 x 12",
        ),
        ("conv2", {"how": "wavelet"}, "unknown ascent 'wavelet'"),
        ("conv2", {"how": Ascent("wavelet")}, "unknown parametrisation 'wavelet'"),
        ("conv2", {"size": 2}, "size is 2; expected at least 8"),
    ):
        with pytest.raises(UserError, match=text):
            visualise(subject, layer, **options)
    with pytest.raises(UserError, match="class 3 is out of range"):
        visualise_classes(subject, [3])
    visualise(subject, "conv2", [1], replace(QUICK, steps=1))
    modules = list(subject.network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert all(module.training for module in modules)
    assert all(one.requires_grad and one.grad is None for one in subject.network.parameters())


def test_titles_of_a_grid_do_not_overlap() -> None:
    names = ["American chameleon", "European fire salamander", "African crocodiles", "tench"]
    figure = image_grid(np.zeros((4, 3, 8, 8), np.uint8), names)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert figure.axes[3].get_title() == "tench"


def test_network_of_permuted_pixels_is_refused() -> None:
    subject = untrained()
    permuted = replace(subject, preprocess=subject.preprocess.model_copy(update={"permute_pixels": 1}))
    with pytest.raises(UserError, match="pixels permuted"):
        visualise(permuted, "conv2")


def test_picture_that_is_noise_is_marked(shapes: Subject) -> None:
    from striate.explain.visualisation_page import gallery_of

    made = visualise(shapes, "conv2", [0, 1, 2], replace(QUICK, steps=1))
    noisy = replace(made, after=made.before + 1, kept=made.before + np.float32([0.9, 0.2, 0.0]))
    gallery = gallery_of(noisy)
    assert [tile.doubtful for tile in gallery.tiles] == [False, True, True]
    assert gallery.notes[0].startswith("2 of 3 keep less than half")
    assert sum(bool(axes.images) for axes in made.figure().axes) == 3

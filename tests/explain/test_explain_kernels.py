"""Kernels are matched with the filters that they are, and a training keeps them for their film."""

from __future__ import annotations

import io
import json
from math import pi
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

import striate
from conftest import PREPROCESS, SHAPES
from striate import filters
from striate.architectures import build
from striate.cli import run
from striate.errors import UserError
from striate.explain import Subject
from striate.explain.first_layer import as_images, first_kernels
from striate.explain.kernel_figures import film
from striate.explain.matching import chance, gabor_values, nearest
from striate.runs import Run
from striate.workflows.kernel_course import KernelCourse, first_weights, read

EXACT = 1e-9
"""float64 linear algebra of a few dozen numbers."""
COLOUR = np.array([0.2, -0.7, 0.4])


def in_colour(*patterns: np.ndarray) -> np.ndarray:
    """Return patterns (kH, kW) in one colour, (O, 3, kH, kW)."""
    return np.stack([COLOUR[:, None, None] * pattern for pattern in patterns])


def test_gabor_matches_itself_whatever_its_phase_colour_and_sign() -> None:
    wave = gabor_values(7, 7, 0.5, pi / 3, 0.3 * 7)
    patterns = [wave.real, wave.imag, -wave.imag, 0.3 * wave.real - 2 * wave.imag]
    for match in nearest(in_colour(*patterns)):
        assert match.score == pytest.approx(1, abs=EXACT)
        assert match.name == "Gabor 60°, 0.50 /px, sigma 2.1"


def test_gabor_is_that_of_the_filters_room() -> None:
    theirs = filters.gabor(0.3, theta=0.7, sigma=1.5).weights
    ours = gabor_values(*theirs.shape, 0.3, 0.7, 1.5)
    similarity = np.vdot(ours, theirs) / (np.linalg.norm(ours) * np.linalg.norm(theirs))
    assert similarity.real == pytest.approx(1, abs=EXACT)


def test_sobel_of_every_direction_matches_itself() -> None:
    along_x, along_y = filters.named("sobel-x").weights, filters.named("sobel-y").weights
    turned = [np.cos(angle) * along_x + np.sin(angle) * along_y for angle in (0, pi / 4, pi / 2, 2.0)]
    found = nearest(in_colour(*turned))
    assert [match.score for match in found] == pytest.approx([1] * 4, abs=EXACT)
    assert [match.name for match in found] == ["Sobel 0°", "Sobel 45°", "Sobel 90°", "Sobel 115°"]


def test_score_is_the_cosine_with_the_filter_that_is_shown() -> None:
    kernels = np.random.default_rng(0).standard_normal((5, 3, 5, 4))
    for kernel, match in zip(kernels, nearest(kernels), strict=True):
        shown = match.weights
        cosine = (kernel * shown).sum() / (np.linalg.norm(kernel) * np.linalg.norm(shown))
        assert match.score == pytest.approx(cosine, abs=EXACT)
        assert np.linalg.matrix_rank(shown.reshape(3, -1), tol=1e-6) == 1  # one colour


def test_blur_is_told_from_a_gabor_and_zeros_match_nothing() -> None:
    flat, none = nearest(np.stack([np.ones((1, 5, 5)), np.zeros((1, 5, 5))]))
    assert flat.score < flat.blur == pytest.approx(1, abs=0.01)
    assert none.score == none.blur == 0
    assert (flat.is_blur, none.is_blur) == (True, False)


def test_flat_kernel_that_a_sampled_wave_equals_is_a_blur() -> None:
    flat, edge = nearest(np.array([[[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, 1.0], [-1.0, -1.0]]]]))
    assert [flat.score, edge.score] == pytest.approx([1, 1], abs=0.01)
    assert (flat.is_blur, edge.is_blur) == (True, False)


def test_small_kernels_match_by_chance_more_than_large_ones() -> None:
    assert 0.8 < chance((1, 3, 3)) <= 1
    assert chance((3, 11, 11)) < 0.4
    random = np.random.default_rng(5).standard_normal((400, 3, 5, 5))
    limit = chance((3, 5, 5))
    exceeding = np.mean([match.score > limit for match in nearest(random)])
    assert exceeding == pytest.approx(0.05, abs=0.03)


def test_images_show_nothing_as_grey_and_each_at_its_own_contrast() -> None:
    weights = np.array([[[[0.0, 2.0], [-2.0, 1.0]]], [[[0.0, 0.0], [0.0, 0.1]]]], np.float32)
    images = as_images(weights)
    assert images[0, 0].tolist() == [[128, 255], [0, 191]]
    assert images[1, 0].tolist() == [[128, 128], [128, 255]]
    assert as_images(weights, np.array([2.0, 2.0]))[1].max() < 140


def test_first_convolution_is_the_one_that_sees_the_image(shapes: Subject) -> None:
    found = first_kernels(shapes)
    assert found.layer == "conv1"
    assert np.array_equal(found.weights, shapes.network.conv1.weight.numpy())
    assert len([axes for axes in found.figure().axes if axes.images]) == 8
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 3))
    with pytest.raises(UserError, match="no convolution of flat sees the image"):
        first_kernels(Subject("flat", flat, "logits", SHAPES, PREPROCESS))


def test_film_has_a_picture_for_each_epoch_at_one_contrast() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    with Image.open(io.BytesIO(film({0: weights / 10, 2: weights / 2, 5: weights}))) as picture:
        assert picture.n_frames == 3
        spread = []
        for number in range(3):
            picture.seek(number)
            spread.append(np.asarray(picture.convert("RGB"), float)[40:].std())
    assert spread[0] < spread[1] < spread[2]
    with pytest.raises(UserError, match="keeps no epochs"):
        film({0: weights})


def test_course_keeps_what_changes_and_goes_on_where_a_training_was_cut_short(tmp_path: Path) -> None:
    network, kept = nn.Conv2d(3, 4, 3), Run(tmp_path)
    course = KernelCourse.of(kept, network, 0)
    course.note(1)  # frozen: nothing has changed
    assert not kept.kernels_file.exists()
    for epoch in (1, 2, 3):
        nn.init.constant_(network.weight, epoch)
        course.note(epoch)
    nn.init.constant_(network.weight, float("nan"))
    course.note(4)  # it has diverged
    assert [float(weights.max()) for weights in read(kept).values()][1:] == [1, 2, 3]
    again = KernelCourse.of(kept, network, 2)
    assert sorted(again.kept) == [0, 1, 2]
    assert first_weights(dict(nn.Linear(2, 2).named_parameters())) is None
    kept.kernels_file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot read"):
        read(kept)


def test_kernels_of_both_engines_are_kept_alike() -> None:
    networks = [build("gray-cnn", (1, 28, 28), 10, engine=engine) for engine in ("torch", "numpy")]
    first, second = (KernelCourse(Run("nowhere"), network, {}) for network in networks)
    first.note(0)
    second.note(0)
    assert first.kept[0].shape == (32, 1, 3, 3)
    assert np.array_equal(first.kept[0], second.kept[0])


def test_training_keeps_its_kernels_and_the_command_films_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    trained = striate.train("digits", model="stride-simple", epochs=2, fraction=0.2, out=out)
    course = read(trained)
    assert sorted(course) == [0, 1, 2]
    last = Subject.of(striate.load(trained.model)).network
    best = trained.facts()["training"]["best_epoch"]
    assert np.array_equal(course[best], next(iter(last.parameters())).detach().numpy())
    assert run(["explain", str(out), "--kernels", "--out", str(tmp_path / "kernels")]) == 0
    assert "kernels.gif" in capsys.readouterr().out
    facts = json.loads((tmp_path / "kernels" / "kernels.json").read_text())
    assert facts["epochs"] == [0, 1, 2]
    assert "data:image/gif" in (tmp_path / "kernels" / "kernels.html").read_text()

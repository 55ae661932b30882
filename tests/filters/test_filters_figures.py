"""Filters drawn, and the command that draws them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import figure_style, filters
from striate.cli import run
from striate.errors import UserError
from striate.filters import apply, as_picture, figures, named


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 16), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A colour image in the folder in which commands run."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (14, 11, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("leaf.png")
    return "leaf.png"


def _text(figure) -> str:
    return figure_style.svg(figure).decode()


def test_image_kernel_with_its_numbers_and_response_stand_side_by_side(grey: np.ndarray) -> None:
    text = _text(figures.filtered(grey, "scharr-x"))
    for part in ("image", "scharr-x", ">-10<", ">3<", "response (grey is 0)"):
        assert part in text.replace("\u2212", "-")
    assert "response (grey" not in _text(figures.filtered(grey, "box-3"))
    assert "magnitude" in _text(figures.filtered(np.dstack([grey] * 3), filters.gabor(0.2, 0.3, 2)))


def test_a_blur_keeps_its_values_and_zero_becomes_grey(grey: np.ndarray) -> None:
    blurred = apply(grey, "box-3")
    np.testing.assert_array_equal(as_picture(blurred, named("box-3")), np.round(blurred).astype(np.uint8))
    edges = apply(np.full((6, 6), 9.0), "sobel-x", border="edge")
    assert (as_picture(edges, named("sobel-x")) == 128).all()
    assert as_picture(np.array([[3 + 4j, 0]]), filters.gabor(0.2)).tolist() == [[255, 0]]


def test_a_step_shows_its_products_and_their_sum(grey: np.ndarray) -> None:
    text = _text(figures.step(grey, "horizontal-edge", 0, 15))
    total = apply(grey, "horizontal-edge")[0, 15]
    assert f"products, sum {total:.5g}" in text
    turned = _text(figures.step(grey, "roberts-x", 3, 4, operation="convolution"))
    assert f"sum {apply(grey, 'roberts-x', operation='convolution')[3, 4]:.5g}" in turned


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda image: figures.step(image, "box-3", 12, 0), "lies outside of the image of 12 x 16"),
        (lambda image: figures.step(np.dstack([image] * 3), "box-3", 0, 0), "grey image"),
        (lambda image: figures.step(image, filters.gabor(0.2), 0, 0), "complex"),
    ],
)
def test_steps_that_cannot_be_drawn_are_told(grey: np.ndarray, call, text: str) -> None:
    with pytest.raises(UserError, match=text):
        call(grey)


def test_each_filter_of_a_bank_has_one_contrast_for_all_images(grey: np.ndarray) -> None:
    found = filters.respond([grey, grey[::-1] // 2], filters.bank((0.2,), (0.0, 1.0), (1.0,)))
    figure = figures.bank_grid(found, ["leaf", "moss"])
    axes = np.array(figure.axes).reshape(3, 3)
    for row, magnitudes in zip(axes[1:], found.magnitudes, strict=True):
        largest = max(one.max() for one in magnitudes)
        assert [one.images[0].get_clim() for one in row[1:]] == [(0, largest)] * 2
    assert "moss" in _text(figure)


def test_curves_show_values_and_derivatives() -> None:
    figure = figures.function_curves(filters.functions(["relu", "sigmoid"]))
    for axes, name in zip(figure.axes, ("relu", "sigmoid"), strict=True):
        x, value, _ = filters.FUNCTIONS[name].points()
        drawn = axes.get_lines()[0]
        np.testing.assert_array_equal(drawn.get_xydata(), np.stack([x, value], axis=1))
    assert "derivative" in _text(figure)


# The command


def test_the_command_lists_draws_and_writes(photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["filters"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*filters.KERNELS, "box-N", "gaussian-N", "gabor"))
    for arguments, name in (
        (["sobel-x", photo, "--grey"], "leaf-sobel-x.png"),
        (["gabor", photo, "--frequency", "0.2", "--angle", "45", "--sigma", "2"], "leaf-gabor.png"),
        (["bank", photo, "--frequency", "0.2", "--sigma", "1"], "bank.png"),
        (["curves", "relu", "--out", "relu.svg"], "relu.svg"),
        (["laplacian", photo, "--step", "3,4", "--out", "step.png"], "step.png"),
    ):
        assert run(["filters", *arguments]) == 0
        assert capsys.readouterr().out == f"drawing: {name}\n"
        assert Path(name).stat().st_size > 1000


def test_plain_writes_the_response_at_the_images_own_size(photo: str) -> None:
    run(["filters", "gaussian-5", photo, "--border", "reflect", "--plain", "--out", "soft.png"])
    expected = apply(Image.open(photo), "gaussian-5", border="reflect")
    np.testing.assert_array_equal(np.asarray(Image.open("soft.png")), np.round(expected).astype(np.uint8))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sobl-x", "leaf.png"], "did you mean 'sobel-x'"),
        (["sobel-x"], "expected one image, got 0"),
        (["leaf.png"], "leaf.png is a file; name a kernel first"),
        (["bank"], "needs images"),
        (["sobel-x", "nothing.png"], "nothing.png' cannot be used"),
        (["sobel-x", "leaf.png", "--sigma", "2"], "--sigma belongs to gabor"),
        (["gabor", "leaf.png", "--sigma", "2", "--sigma", "3"], "several go with bank"),
        (["sobel-x", "leaf.png", "--out", "leaf.png"], "is an image that is read"),
        (["sobel-x", "leaf.png", "--out", "a.gif"], r"ends in \.png or \.svg"),
        (["sobel-x", "leaf.png", "--out", "no/a.png"], "there is no folder"),
        (["sobel-x", "leaf.png", "--step", "3"], "expected row,column"),
        (["sobel-x", "leaf.png", "--step", "3,3", "--plain"], "choose one"),
        (["curves", "sofplus"], "unknown function"),
    ],
)
def test_bad_commands_are_told(photo: str, arguments: list[str], text: str) -> None:
    with pytest.raises(UserError, match=text):
        run(["filters", *arguments])

"""A training by recipe, from pictures to report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from striate import bundle
from striate.architectures import whitening_kernels
from striate.errors import SpecError, UserError
from striate.workflows.listener import Listener
from striate.workflows.train import train


@pytest.fixture
def stripes(write_stripes: Callable[..., Path], tmp_path: Path) -> Path:
    return write_stripes(tmp_path / "stripes", {"flat": 60, "steep": 60, "slant": 60}, side=12)


@pytest.mark.slow
def test_the_fast_recipe_learns_with_a_first_layer_that_stays_and_reports_the_views(
    stripes: Path, tmp_path: Path
) -> None:
    run = train(
        stripes, recipe="fast", target=0.94, epochs=4, model_options={"width": 8}, out=tmp_path / "run"
    )
    config = run.config()
    assert (config.optimizer, config.augment, config.test_views) == ("muon", "alternate", "flip-shift")
    metrics = run.metrics()["test"]
    assert metrics["accuracy"]["value"] > 0.6
    views = metrics["test_views"]
    assert (views["views"], views["samples"]) == (6, metrics["samples"])
    assert views["accuracy"]["low"] < views["correct"] / views["samples"] < views["accuracy"]["high"]
    assert "Averaged over views" in run.report.read_text()
    kernels = run_weights(run.model)["conv1.weight"]
    assert np.array_equal(kernels[1::2], -kernels[::2])
    assert len(whitening_kernels(np.zeros((2, 3, 4, 4), np.float32), (2, 2), 24)) == len(kernels)


def run_weights(model: Path) -> dict[str, np.ndarray]:
    return bundle.read(model)[1]


def test_images_too_small_for_the_network_are_enlarged_unless_their_size_is_given(
    write_stripes: Callable[..., Path], tmp_path: Path
) -> None:
    data = write_stripes(tmp_path / "tiny", {"flat": 20, "steep": 20}, side=6)
    told = Told()
    settings = {"recipe": "fast", "epochs": 1, "model_options": {"width": 4}}
    run = train(data, out=tmp_path / "run", listener=told, **settings)
    assert bundle.read(run.model)[0].preprocess.input_shape == (3, 12, 12)
    assert "Images become 12 x 12: speed-cnn needs larger ones." in told.messages
    with pytest.raises(SpecError, match="pool3"):
        train(data, out=tmp_path / "other", image_size=6, **settings)


class Told(Listener):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_whitening_is_refused_where_it_makes_no_sense(stripes: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="begins with flatten"):
        train(stripes, model="mlp", first_layer="whitening", out=tmp_path / "run")
    with pytest.raises(UserError, match="--first-layer whitening needs PyTorch"):
        train(stripes, model="speed-cnn", first_layer="whitening", engine="numpy", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()

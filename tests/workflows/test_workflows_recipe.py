"""A training by recipe, from pictures to report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate
from striate import bundle
from striate.architectures import whitening_kernels
from striate.errors import DataError, SpecError, UserError
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


@pytest.fixture
def own_splits(write_stripes: Callable[..., Path], tmp_path: Path) -> Path:
    sizes = {"train": 20, "val": 8, "test": 8}
    counts = {f"{split}/{name}": size for split, size in sizes.items() for name in ("flat", "steep")}
    return write_stripes(tmp_path / "splits", counts, side=12)


FEW: dict[str, Any] = {"recipe": "fast", "epochs": 1, "model_options": {"width": 4}}


def test_what_a_recipe_says_of_splits_gives_way_to_those_of_the_data(
    own_splits: Path, tmp_path: Path
) -> None:
    run = train(own_splits, out=tmp_path / "run", **FEW)
    assert run.config().val_fraction is None
    assert (run.samples()["split"] == "val").sum() == 16
    again = train(config=run.folder / "config.yaml", out=tmp_path / "again")
    assert again.history().equals(run.history())
    (tmp_path / "own.yaml").write_text(
        "about: a test\nsettings: {model: mlp, test_fraction: 0.3, val_fraction: 0.1}\nlevels: [images: 40]\n"
    )
    named = train(own_splits, recipe=str(tmp_path / "own.yaml"), out=tmp_path / "named")
    assert (named.samples()["split"] == "test").sum() == 16
    with pytest.raises(DataError, match="--val-fraction has nothing to carve"):
        train(own_splits, val_fraction=0.02, out=tmp_path / "other", **FEW)


def test_a_recipe_is_varied_and_benched_on_data_with_its_own_splits(own_splits: Path, tmp_path: Path) -> None:
    study = striate.ablate(
        own_splits,
        vary={"recipe": ["none", "fast"]},
        model="speed-cnn",
        seeds=1,
        out=tmp_path / "study",
        **FEW | {"recipe": None},
    )
    configs = [striate.Run(runs[0]).config() for runs in study.runs.values()]
    assert [(one.optimizer, one.val_fraction, one.batch_size) for one in configs] == [
        ("adamw", None, 40),
        ("muon", None, 10),
    ]
    assert striate.bench_train(own_splits, steps=1, **FEW | {"epochs": 9}).batch_size == 10


def test_a_batch_size_that_is_given_stays_though_it_is_that_of_the_recipe(
    stripes: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="250"):
        train(stripes, batch_size=250, out=tmp_path / "run", **FEW)
    with pytest.raises(UserError, match="250"):
        striate.ablate(stripes, vary={"batch_size": [250, 20]}, seeds=1, out=tmp_path / "study", **FEW)


@pytest.mark.parametrize(
    "settings", [{"image_size": 32, "sizes": "16,24"}, {"sizes": "8,16,32", "epochs": 2}]
)
def test_sizes_that_cannot_be_are_refused_before_images_are_read(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, stripes: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr("striate.data.prepare", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(UserError, match="--sizes"):
        train(stripes, model="mynet", out=tmp_path / "run", **settings)


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

"""`bench_train`: what it says of a training, and what it refuses."""

from __future__ import annotations

import os

import pytest

import striate
from striate.errors import UserError
from striate.stopwatch import PARTS, Step
from striate.workflows.bench_train import bench_train, mean_parts, middle_half
from striate.workflows.listener import Listener

ROUNDING = 1e-9
PLAIN = {"precision": "32", "memory_format": "contiguous", "num_workers": 0}


@pytest.fixture(scope="module")
def benched():
    return bench_train("digits", model="mynet", steps=8, batch_size=32, augment="shift", **PLAIN)


def test_parts_add_up_to_the_step_and_the_rest_is_small(benched):
    assert list(benched.parts) == [*PARTS, "rest"]
    assert sum(benched.parts.values()) == pytest.approx(benched.seconds, rel=ROUNDING)
    assert all(seconds > 0 for seconds in benched.parts.values())
    assert benched.parts["rest"] < 0.5 * benched.seconds  # Lightning's loop, around a very small network


def test_rates_follow_from_the_times(benched):
    assert (benched.steps, benched.batch_size) == (8, 32)
    assert benched.images_per_second == pytest.approx(32 / benched.seconds)
    reached = benched.operations / benched.seconds
    assert benched.peak_share == pytest.approx(reached / benched.peak)
    assert 0 < benched.peak_share < benched.computing_share < 1
    assert benched.peak_bytes > 1e8


def test_the_waste_is_a_part_with_a_sentence(benched):
    assert benched.waste.part in {*PARTS, "rest", "computing"}
    assert benched.waste.advice.endswith(".")


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    striate.bench_train("digits", model="mlp", steps=1, **PLAIN)
    assert os.listdir() == []


def test_the_middle_half_leaves_out_the_quickest_and_the_slowest_quarter():
    steps = [Step(1, float(seconds), {}) for seconds in (9, 1, 3, 2, 100, 4, 5, 0)]
    assert [step.seconds for step in middle_half(steps)] == [2.0, 3.0, 4.0, 5.0]
    assert middle_half(steps[:1]) == steps[:1]


def test_what_no_part_holds_is_the_rest():
    parts = mean_parts([Step(1, 1.0, {"forward": 0.5}), Step(1, 2.0, {"forward": 0.5, "decode": 1.0})])
    assert (parts["forward"], parts["decode"], parts["augment"]) == (0.5, 0.5, 0.0)
    assert parts["rest"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("data", "settings", "text"),
    [
        ("no-such-data", {}, "no-such-data"),
        ("digits", {"model": "mynett"}, "did you mean 'mynet'"),
        ("digits", {"batch_size": 5000}, "5000"),
        ("digits", {"batch_size": 1259}, "an epoch has one step of 1259 images"),
        ("digits", {"engine": "numpy"}, "not --engine numpy; leave it out"),
        ("digits", {"steps": 0}, "steps is 0: expected at least 1"),
        ("digits", {"limit": 0.0}, "limit is 0: expected more than 0 seconds"),
        ("digits", {"strategy": "features", "model": "lite0"}, "is not trained by steps"),
        ("digits", {"epochs": 1, "batch_size": 500}, "choose more --epochs"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(data, settings, text):
    with pytest.raises(UserError, match=text) as refusal:
        bench_train(data, **{**PLAIN, "model": "mlp", **settings})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("batch_size", "measured", "told"), [(64, 20, True), (32, 32, False)])
def test_images_of_a_step_are_those_that_were_measured(batch_size, measured, told, write_stripes, tmp_path):
    data = write_stripes(tmp_path / "few", {"train/a": 42, "train/b": 42, "test/a": 9, "test/b": 9})
    heard = Heard()
    settings = {"model": "mynet", "batch_size": batch_size, "val_fraction": 0, **PLAIN}
    found = bench_train(data, steps=3, listener=heard, **settings)
    assert (found.steps, found.batch_size) == (3, measured)
    assert found.images_per_second == pytest.approx(measured / found.seconds)
    one = bench_train(data, steps=1, **settings | {"batch_size": 42})
    assert found.operations == pytest.approx(one.operations * measured / 42, abs=1)
    assert any("steps of 20 images were measured" in text for text in heard.messages) is told


class Heard(Listener):
    """Keeps the messages."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


def test_a_small_data_set_gets_smaller_batches(write_stripes, tmp_path):
    data = write_stripes(tmp_path / "few", {"across": 10, "down": 10})
    found = bench_train(data, model="mlp", steps=2, **PLAIN)
    assert found.batch_size == 7  # half of the 14 that are for training

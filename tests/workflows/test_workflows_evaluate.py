"""Evaluations of trained models on other data, and on their own."""

from __future__ import annotations

import numpy as np
import pytest

import striate
from striate.errors import UserError


@pytest.fixture
def stripes(write_stripes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_stripes(tmp_path / "stripes", {"across": 24, "down": 24})


@pytest.fixture
def run(stripes):
    return striate.train(stripes, model="simple-cnn", epochs=2, batch_size=8)


def test_an_evaluation_on_other_images_counts_every_one(run, write_stripes, tmp_path):
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    evaluated = striate.evaluate(run.model, others)
    predictions = evaluated.predictions("test")
    assert evaluated.folder.name == "others-simple-cnn"
    assert evaluated.metrics()["test"]["samples"] == 11
    assert evaluated.metrics()["test"]["correct"] == np.sum(predictions.predicted == predictions.labels)
    assert "11 images of others" in evaluated.report.read_text()


@pytest.mark.parametrize("part", ["folder", "model"])
def test_a_run_is_never_measured_on_what_it_was_trained_on(run, stripes, part):
    evaluated = striate.evaluate(getattr(run, part), stripes, out="again")
    assert evaluated.metrics()["test"] == run.metrics()["test"]
    assert set(evaluated.predictions("test").images) == set(run.predictions("test").images)
    assert any("test images of that run" in message for message in evaluated.facts()["data"]["messages"])


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_other_splits_of_a_run_are_measured_on_request(run, stripes, split):
    evaluated = striate.evaluate(run.folder, stripes, split=split, out="again")
    samples = run.samples()
    assert evaluated.splits() == [split]
    assert set(evaluated.predictions(split).images) == set(samples["path"][samples["split"] == split])


def test_labels_follow_class_names_and_not_positions(run, write_stripes, tmp_path):
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    straight = striate.evaluate(run.model, others).predictions("test")
    (others / "across").rename(others / "zzz-unknown")
    alone = striate.evaluate(run.model, others, out="alone")
    rows = [place for place, path in enumerate(straight.images) if path.startswith("down")]
    np.testing.assert_array_equal(alone.predictions("test").labels, straight.labels[rows])
    assert any("zzz-unknown" in message for message in alone.facts()["data"]["messages"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"split": "tset"}, "did you mean 'test'?"),
        ({"split": "val"}, "has no split 'val'"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(run, write_stripes, tmp_path, options, text):
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    with pytest.raises(UserError, match=text):
        striate.evaluate(run.model, others, out="none", **options)
    assert not (tmp_path / "none").exists()


def test_a_bundle_alone_needs_data(run):
    with pytest.raises(UserError, match="no run at"):
        striate.evaluate(run.model)

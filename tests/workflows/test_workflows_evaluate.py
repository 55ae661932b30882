"""Evaluations of trained models on other data, and on their own."""

from __future__ import annotations

import numpy as np
import pytest

import striate
from striate import cli
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


def test_abstaining_is_measured_as_predict_abstains(run, write_stripes, tmp_path):
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    predictions = striate.evaluate(run.model, others, out="plain").calibrated("test")
    confidence = predictions.probabilities.max(axis=1)
    threshold = float(np.median(confidence))  # one image has exactly that, and is answered
    entry = striate.evaluate(run.model, others, abstain=threshold, out="left").metrics()["test"]
    left = striate.predict(run.model, others, abstain=threshold - 1e-9).abstention.abstained
    answered = confidence >= threshold
    found = entry["abstention"]
    right = int(np.sum((predictions.predicted == predictions.labels) & answered))
    assert (found["samples"], found["answered"], found["correct"]) == (11, int(answered.sum()), right)
    assert found["answered"] == np.sum(~left)
    assert found["coverage"]["value"] == answered.mean()
    assert found["accuracy"]["value"] == right / answered.sum()
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"] + 1e-12


def test_abstaining_is_measured_from_saved_predictions_and_for_every_set(
    run, write_stripes, tmp_path, capsys
):
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    sets = {"a": (others, 1), "b": (others, 3)}
    evaluated = striate.evaluate(run.model, sets=sets, abstain=0.0, out="sets")
    total = evaluated.total()
    assert [entry["abstention"]["answered"] for entry in evaluated.metrics().values()] == [11, 11]
    assert cli.run(["evaluate", "sets", "--abstain", "1", "-q"]) == 0
    assert "a: from 100% on, 0 of 11 images (0.0%) are answered\n" in capsys.readouterr().out
    assert evaluated.metrics()["b"]["abstention"]["accuracy"] is None
    assert evaluated.total() == total
    striate.evaluate("sets")
    assert "abstention" not in evaluated.metrics()["a"]


def test_views_are_measured_beside_the_plain_accuracy(run, write_stripes, tmp_path, capsys):
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    assert cli.run(["evaluate", str(run.model), str(others), "--views", "flip", "--out", "views", "-q"]) == 0
    evaluated = striate.Run("views")
    plain = striate.evaluate(run.model, others, out="plain")
    found = evaluated.metrics()["test"]
    assert found["accuracy"] == plain.metrics()["test"]["accuracy"]
    predicted = striate.predict(run.model, others, views="flip").predictions
    named = {
        image: predicted.class_names[n]
        for image, n in zip(predicted.images, predicted.predicted, strict=True)
    }
    correct = sum(image.split("/")[-2] == name for image, name in named.items())
    assert (found["test_views"]["name"], found["test_views"]["correct"]) == ("flip", correct)
    assert "averaged over 2 views" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"data": "x", "abstain": 1.5}, "abstain is 1.5"),
        ({"data": "x", "views": "flips"}, "unknown views 'flips'"),
        ({"views": "flip"}, "name them as DATA, without --set or --split"),
        ({"data": "x", "views": "flip", "split": "val"}, "name them as DATA, without --set or --split"),
        ({"sets": {"a": "x"}, "views": "flip"}, "name them as DATA, without --set or --split"),
        (
            {"data": "x", "views": "flip", "robustness": True},
            "leave out --set, --costs, --abstain and --views",
        ),
        (
            {"data": "x", "abstain": 0.5, "robustness": True},
            "leave out --set, --costs, --abstain and --views",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_read(tmp_path, options, text):
    with pytest.raises(UserError, match=text):
        striate.evaluate(tmp_path / "no-model", **options)


def test_options_of_images_need_images(run):
    with pytest.raises(UserError, match=r"leave out --out, --split, or name the images"):
        striate.evaluate(run.folder, out="elsewhere", split="val")
    with pytest.raises(UserError, match="leave out --data-root"):
        cli.run(["evaluate", str(run.folder), "--data-root", "elsewhere"])

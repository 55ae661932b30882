"""Predictions that leave uncertain images to a person."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

import striate
from striate import bundle, cli, schemas
from striate.cli.results import abstention_lines
from striate.errors import UserError
from striate.runs import Run
from striate.workflows.predict import Abstention


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Where the images and the run of this module lie."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def stripes(write_stripes, trained):
    if not (trained / "stripes").is_dir():
        write_stripes(trained / "stripes", {"across": 12, "down": 12})
    return trained / "stripes"


@pytest.fixture
def run(stripes, trained):
    if not (trained / "run").is_dir():
        options = {"model": "simple-cnn", "epochs": 1, "batch_size": 8, "engine": "numpy"}
        striate.train(stripes, out=trained / "run", **options)
    return Run(trained / "run")


def test_uncertain_images_are_left_to_a_person(run, stripes, tmp_path):
    plain = striate.predict(run.folder, stripes, engine="numpy")
    assert plain.abstention is None
    assert "abstained" not in plain.table
    confidence = plain.predictions.probabilities.max(axis=1)
    threshold = float(np.median(confidence))
    result = striate.predict(
        run.folder, stripes, abstain=threshold, engine="numpy", out=tmp_path / "named.csv"
    )
    table = schemas.read_table(tmp_path / "named.csv")
    assert list(table.columns[:5]) == [*schemas.PREDICTION_COLUMNS, "abstained"]
    assert table["abstained"].tolist() == [str(int(sure < threshold)) for sure in confidence]
    assert list(table["predicted"]) == list(plain.table["predicted"])  # the guess stays
    assert result.abstention.expected == pytest.approx(confidence[confidence >= threshold].mean())


@pytest.mark.parametrize(("threshold", "left"), [(0, 0), (1, 24)])
def test_the_ends_leave_nothing_or_all_that_is_not_certain(run, stripes, threshold, left):
    found = striate.predict(run.folder, stripes, abstain=threshold, engine="numpy").abstention
    assert int(found.abstained.sum()) == left
    assert (found.expected is None) == (left == 24)


def test_what_was_measured_from_that_probability_on_is_told(run, stripes, tmp_path):
    test = run.metrics()["test"]
    found = striate.predict(run.folder, stripes, abstain=0.0, engine="numpy").abstention.measured
    counts = {"samples": test["samples"], "answered": test["samples"], "correct": test["correct"]}
    assert found == {"split": "test", "threshold": 0.0, **counts}
    shutil.copytree(run.model, tmp_path / "model")
    bundle.amend(tmp_path / "model", metrics={})
    assert (
        striate.predict(tmp_path / "model", stripes, abstain=0.5, engine="numpy").abstention.measured is None
    )


@pytest.mark.parametrize(
    "entry",
    [
        5,
        {"answered": 5},
        {"samples": 9, "answered": [{}]},
        {"samples": 9, "answered": [{"threshold": "0.5", "answered": 9, "correct": 9}]},
        {"samples": 9, "answered": [{"threshold": 0.5, "answered": "9", "correct": None}]},
        {"samples": 0, "answered": [{"threshold": 0.5, "answered": 9, "correct": 9}]},
        {"answered": [{"threshold": 0.5, "answered": 9, "correct": 9}]},
    ],
)
def test_measurements_of_another_form_are_left_out(run, stripes, tmp_path, capsys, entry):
    shutil.copytree(run.model, tmp_path / "model")
    bundle.amend(tmp_path / "model", metrics={"test": entry})
    command = ["predict", str(tmp_path / "model"), str(stripes), "--engine", "numpy", "--abstain", "0.5"]
    assert cli.run([*command, "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "are left to a person" in text
    assert "test images" not in text


@pytest.mark.parametrize(
    ("n", "left", "texts"),
    [
        (1, 0, ["0 of 1 image are left to a person", "the one answer is right with a probability of 75.0%"]),
        (2, 1, ["1 of 2 images is left to a person: its class", "the other answer is right with a prob"]),
        (3, 1, ["1 of 3 images is left to a person", "75.0% of the other 2 answers are right."]),
        (3, 0, ["0 of 3 images are left to a person", "75.0% of the 3 answers are right."]),
    ],
)
def test_few_images_are_counted_in_the_singular(n, left, texts):
    lines = abstention_lines(Abstention(0.5, np.arange(n) < left, 0.75, None, True))
    assert len(lines) == len(texts)
    for line, text in zip(lines, texts, strict=True):
        assert text in line


def test_the_console_shows_names_as_they_are_and_the_table_guards_them(run, stripes, tmp_path, capsys):
    shutil.copytree(run.model, tmp_path / "model")
    record = json.loads((tmp_path / "model" / bundle.RECORD_FILE).read_text())
    record["class_names"] = ["=across", "@do\x1bwn"]
    (tmp_path / "model" / bundle.RECORD_FILE).write_text(json.dumps(record))
    (tmp_path / "-x.png").write_bytes((stripes / "across" / "000.png").read_bytes())
    command = ["predict", str(tmp_path / "model"), str(tmp_path / "-x.png"), "--engine", "numpy", "-q"]
    assert cli.run(command) == 0
    shown = capsys.readouterr().out
    assert "'" not in shown
    assert "=across" in shown or r"@do\x1bwn" in shown
    assert cli.run([*command, "--out", str(tmp_path / "named.csv")]) == 0
    assert schemas.read_table(tmp_path / "named.csv")["predicted"][0][:2] in ("'=", "'@")


def test_what_is_no_file_is_refused_before_anything_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="it is no ordinary file"):
        striate.predict(tmp_path / "no-model", tmp_path, out=tmp_path / "pipe.csv")


@pytest.mark.parametrize("threshold", [-0.5, 1.5, 90, float("nan")])
def test_thresholds_out_of_range_are_refused_before_anything_is_read(tmp_path, threshold):
    with pytest.raises(UserError, match="abstain"):
        striate.predict(tmp_path / "no-model", tmp_path, abstain=threshold)


def test_the_command_marks_what_is_left_and_says_so_in_text_and_json(run, stripes, capsys):
    command = ["predict", str(run.folder), str(stripes), "--engine", "numpy"]
    assert cli.run([*command, "--abstain", "1", "-q"]) == 0
    text = capsys.readouterr().out
    assert text.count("? (") == 24
    assert "24 of 24 images are left to a person: their class is less than 100% probable." in text
    assert "not calibrated" in text  # four validation images were too few
    assert cli.run([*command, "--abstain", "0", "--log", "json"], as_json=True) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["abstention"]["abstained"] == 0
    assert {row["abstained"] for row in result["predictions"]} == {False}

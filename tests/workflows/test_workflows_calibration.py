"""The temperature of a run: fitted on validation, kept in the bundle, used where probabilities are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate import bundle, schemas
from striate.errors import RunError
from striate.evaluation import predictions_table
from striate.evaluation.temperature import fit_temperature
from striate.schemas import Predictions
from striate.workflows.calibration import calibrate
from striate.workflows.results import write_results


def write_noise(root: Path, count: int) -> Path:
    """Two class folders of noise that differ in brightness, on average: some are named wrongly."""
    generator = np.random.default_rng(0)
    for name, level in (("dark", 115), ("light", 135)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.normal(generator.normal(level, 15), 60, (12, 12, 3))
            Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def overconfident(found: Predictions) -> Predictions:
    """Logits of two normal classes (deviation 1, two apart), four times as large as is right."""
    position = np.random.default_rng(0).normal(2 * found.labels - 1, 1)
    logits = np.stack([np.zeros(len(position)), 4 * 2 * position], axis=1)
    return replace(found, logits=logits.astype(np.float32))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with data and a run of it whose network is far too sure; to be copied, not changed."""
    root = tmp_path_factory.mktemp("trained")
    write_noise(root / "data", 150)
    run = striate.train(root / "data", model="simple-cnn", epochs=1, engine="numpy", out=root / "run")
    for split in run.splits():
        found = overconfident(run.predictions(split))
        run.write_predictions(split, found, predictions_table(found))
    calibrate(run)
    write_results(run)
    return root


def test_the_bundle_holds_what_the_validation_images_alone_give(run):
    temperature = fit_temperature(run.predictions("val"))
    assert temperature > 1.5
    assert bundle.read_record(run.model).temperature == temperature
    assert run.facts()["calibration"] == {
        "temperature": temperature,
        "split": "val",
        "samples": len(run.predictions("val").labels),
        "message": "",
    }


def test_a_training_calibrates_by_itself(tmp_path):
    write_noise(tmp_path / "data", 75)
    run = striate.train(tmp_path / "data", model="simple-cnn", epochs=1, engine="numpy", out=tmp_path / "run")
    fitted = fit_temperature(run.predictions("val"))
    assert bundle.read_record(run.model).temperature == run.temperature() == fitted != 1


def test_stored_predictions_stay_raw_and_tables_and_metrics_do_not(run):
    raw, entry = run.predictions("test"), run.metrics()["test"]
    np.testing.assert_allclose(run.calibrated("test").logits * run.temperature(), raw.logits)
    table = schemas.read_table(run.predictions_table("test"))
    shown = run.calibrated("test").probabilities.max(axis=1)
    assert table["probability"].astype(float).to_numpy() == pytest.approx(shown, abs=1e-6)
    assert entry["calibration"]["temperature"] == run.temperature()
    assert entry["calibration"]["before"]["ece"]["value"] > entry["calibration"]["ece"]["value"]


def test_the_classifier_says_what_the_tables_say(run, tmp_path):
    """The network itself is as trained; with the temperature at 4 both must give the same."""
    bundle.amend(run.model, temperature=4.0)
    evaluated = striate.evaluate(
        run.model, tmp_path / "data", split="test", out=tmp_path / "again", engine="numpy"
    )
    classifier = striate.load(run.model, engine="numpy")
    paths = [tmp_path / "data" / image for image in evaluated.predictions("test").images]
    said = classifier.predict_proba(paths)
    np.testing.assert_allclose(said, evaluated.calibrated("test").probabilities, atol=1e-6)
    assert evaluated.temperature() == 4
    raw = evaluated.predictions("test")
    np.testing.assert_allclose(raw.logits, 4 * classifier.predict_logits(paths), rtol=1e-4, atol=1e-6)


def test_a_report_made_anew_keeps_the_temperature(run):
    before, record = run.metrics(), bundle.read_record(run.model)
    striate.evaluate(run.folder)
    assert run.metrics() == before
    assert bundle.read_record(run.model) == record


def test_runs_of_an_older_format_count_as_not_calibrated(run):
    facts = run.facts()
    del facts["calibration"]
    run.write_facts(facts)
    assert run.temperature() == 1
    striate.evaluate(run.folder)
    assert "before" not in run.metrics()["test"]["calibration"]
    page = run.report.read_text("utf-8")
    assert "not calibrated" in page


@pytest.mark.parametrize("temperature", [0, -1, "warm", None, float("inf")])
def test_a_temperature_that_makes_no_sense_is_refused(run, temperature):
    run.facts_file.write_text(json.dumps(run.facts() | {"calibration": {"temperature": temperature}}))
    with pytest.raises(RunError, match="temperature"):
        run.temperature()


@pytest.mark.parametrize(
    ("left", "why"), [(0, "there are no validation images"), (12, "12 labelled validation images are fewer")]
)
def test_without_validation_images_enough_it_stays_at_one_and_says_why(run, left, why):
    found = run.predictions("val")
    if left:
        fewer = replace(
            found, images=found.images[:left], labels=found.labels[:left], logits=found.logits[:left]
        )
        run.write_predictions("val", fewer, predictions_table(fewer))
    else:
        run.predictions_file("val").unlink()
    calibrate(run)
    assert bundle.read_record(run.model).temperature == run.temperature() == 1
    assert why in run.facts()["calibration"]["message"]


def test_a_temperature_at_its_limit_is_told(run):
    found = run.predictions("val")
    wrong = replace(found, labels=1 - found.predicted)
    run.write_predictions("val", wrong, predictions_table(wrong))
    calibrate(run)
    assert "limit of 20" in run.facts()["calibration"]["message"]

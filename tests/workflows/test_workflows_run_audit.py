"""The audit in a training: what it finds, how it is remembered, and that it never stands in the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate import config, data
from striate.cache import cache_folder
from striate.errors import RunError
from striate.evaluation.leaks import without_images
from striate.runs import Run
from striate.schemas import Predictions
from striate.workflows import run_audit
from striate.workflows.listener import Listener


def write_images(root: Path) -> Path:
    """Two classes of noise with a bright left or right half; three test images repeat training ones."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 8)):
        for name in ("left", "right"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(0, 200, (24, 24, 3))
                noise[:, slice(0, 12) if name == "left" else slice(12, 24)] += 55
                Image.fromarray(noise.astype(np.uint8)).save(root / split / name / f"{number:02d}.png")
    shutil.copy(root / "train/left/00.png", root / "test/left/again.png")
    shutil.copy(root / "train/left/01.png", root / "test/right/wrong.png")  # and with another label
    Image.open(root / "train/right/02.png").save(root / "test/right/again.bmp")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    write_images(root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(root / "cache"))  # of its own: audits are remembered
        striate.train(root / "data", model="simple-cnn", epochs=1, engine="numpy", out=root / "run")
    return root


@pytest.fixture
def run(trained) -> Run:
    return Run(trained / "run")


@pytest.fixture
def prepared(trained):
    """What the audit is given: settings, images, and a run to write to."""
    settings = Run(trained / "run").config()
    return settings, data.prepare(settings.data_config())


def test_leaked_images_are_named_with_their_copies(run):
    found = run.audit()
    leaks = {leak["image"]: leak for leak in found["leaks"]}
    assert set(leaks) == {"test/left/again.png", "test/right/wrong.png", "test/right/again.bmp"}
    assert leaks["test/right/wrong.png"]["copy_of"] == "train/left/01.png"
    assert leaks["test/right/wrong.png"]["copy_label"] == "left"
    assert [leaks[image]["kind"] for image in sorted(leaks)] == ["same file", "same pixels", "same file"]
    assert found["duplicates"]["leaked"]["test"] == 3
    assert run.leaked() == {"test": set(leaks)}


def test_accuracy_without_leaked_images_is_that_of_the_others(run):
    entry, found = run.metrics()["test"], run.predictions("test")
    right = [
        image
        for image, label, named in zip(found.images, found.labels, found.predicted, strict=True)
        if label == named and image not in run.leaked()["test"]
    ]
    assert entry["without_leaked"]["samples"] == entry["samples"] - 3 == 16
    assert entry["without_leaked"]["correct"] == len(right)
    assert entry["without_leaked"]["accuracy"]["value"] == len(right) / 16


def test_the_report_tells_the_findings_and_both_accuracies(run):
    page = run.report.read_text("utf-8")
    assert "Can the data be trusted?" in page
    assert page.count("3 of 19 test images (15.8%) have a copy in train") == 2  # as a remark, and under Data
    assert "of 16" in page
    assert "test/right/wrong.png" in page


def test_the_splits_are_those_of_the_run_not_those_of_the_data(tmp_path):
    """Of a folder without splits: copies may come to lie in several."""
    write_images(tmp_path / "nested")
    shutil.move(tmp_path / "nested" / "train", tmp_path / "flat")
    for number in range(20):
        shutil.copy(tmp_path / f"flat/left/{number:02d}.png", tmp_path / f"flat/left/{number:02d}-again.png")
    run = striate.train(tmp_path / "flat", model="simple-cnn", epochs=1, engine="numpy", out=tmp_path / "run")
    samples = run.samples().set_index("path")["split"]
    leaked = {
        path
        for path, split in samples.items()
        if path.startswith("left/") and split in ("val", "test")
        for other in [path.replace("-again", "") if "again" in path else path.replace(".png", "-again.png")]
        if samples[other] == "train"
    }
    assert set().union(*run.leaked().values()) == leaked != set()


def test_the_same_images_are_looked_at_once(run, prepared, tmp_path, monkeypatch):
    settings, sets = prepared
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    calls = []
    audit = run_audit._audit
    monkeypatch.setattr(run_audit, "_audit", lambda *parts: calls.append(1) or audit(*parts))
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    run_audit.audit_run(copy, settings, sets, Listener())
    first = copy.audit()
    run_audit.audit_run(copy, settings, sets, Listener())
    assert (len(calls), copy.audit()) == (1, first)
    (file,) = (cache_folder() / "audits").iterdir()
    file.write_text('{"torn')
    run_audit.audit_run(copy, settings, sets, Listener())
    assert (len(calls), copy.audit()) == (2, first)
    samples = sets.samples.assign(split=["val", *sets.samples["split"][1:]])
    assert run_audit._key(sets) != run_audit._key(sets.__class__(**vars(sets) | {"samples": samples}))


def test_an_audit_that_takes_too_long_is_left_out_and_says_so(run, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(run_audit, "SECONDS", 0.0)
    monkeypatch.setattr(run_audit, "SHARE_OF_TRAINING", 0.0)
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    run_audit.audit_run(copy, *prepared, Listener())
    assert copy.audit() == {"skipped": "it would have taken longer than 0 s"}
    assert not (cache_folder() / "audits").exists()


def test_an_audit_can_be_switched_off(run, prepared, tmp_path):
    settings, sets = prepared
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    run_audit.audit_run(copy, settings.model_copy(update={"audit": False}), sets, Listener())
    striate.evaluate(copy.folder)
    assert "without_leaked" not in copy.metrics()["test"]
    assert "The data was not audited: it was switched off by --no-audit." in copy.report.read_text("utf-8")


def test_images_that_went_meanwhile_do_not_stop_a_training(run, prepared, tmp_path):
    settings, sets = prepared
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    gone = settings.model_copy(update={"data": str(tmp_path / "gone")})
    run_audit.audit_run(copy, gone, sets, Listener())
    assert "skipped" in copy.audit()


def test_a_record_that_makes_no_sense_is_refused(run, tmp_path):
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    copy.audit_file.write_text('{"leaks": [{"image": "x"}]}')
    with pytest.raises(RunError, match="leaks"):
        copy.leaked()


def test_settings_of_older_runs_have_an_audit():
    assert config.make(config.TrainConfig, {"data": "x"}).audit


def test_without_any_other_image_there_is_no_accuracy():
    predictions = Predictions(("a", "b"), np.array([0, 1]), np.eye(2, dtype=np.float32), ("x", "y"))
    assert without_images(predictions, ["a", "b"], 0.95)["accuracy"] is None
    assert without_images(predictions, ["a"], 0.95)["correct"] == 1

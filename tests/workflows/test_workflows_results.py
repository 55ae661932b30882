"""What lies in a run folder after an evaluation: pictures in the report, and nothing that does not fit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import striate
from striate.errors import DataError, RunError, UserError
from striate.evaluation import predictions_table
from striate.runs import Run
from striate.workflows import error_maps, results
from striate.workflows.listener import Listener


def write_noise(root: Path, count: int, seed: int = 0) -> Path:
    """Write two class folders of noise that differ in brightness, on average."""
    generator = np.random.default_rng(seed)
    for name, level in (("dark", 115), ("light", 135)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            brightness = generator.normal(level, 15)
            noise = np.clip(generator.normal(brightness, 60, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def write_images(tmp_path):
    return lambda name, count: write_noise(tmp_path / name, count, seed=count)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data, and a run of it; to be copied, not changed."""
    root = tmp_path_factory.mktemp("trained")
    write_noise(root / "data", 40)
    striate.train(root / "data", model="simple-cnn", epochs=1, batch_size=8, out=root / "run")
    return root


class Heard(Listener):
    """Keeps the remarks."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def remarks(self, texts) -> None:
        self.said = list(texts)


def images_in(report: Path) -> dict:
    """What the page's script reads of the images."""
    page = report.read_text(encoding="utf-8")
    found = re.search(r'<script[^>]* id="image-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def remade(run: Run) -> dict:
    striate.evaluate(run.folder)
    return images_in(run.report)


def test_the_report_shows_the_images_of_the_test_split(run):
    shown = remade(run)
    assert shown["split"] == "test"
    assert shown["missing"] == 0
    assert len(shown["thumbnails"]) == len(shown["images"]) > 0
    assert {row[0] for row in shown["images"]} <= set(run.predictions("test").images)


def test_the_first_report_shows_the_curves_and_names_every_file(run):
    page = run.report.read_text(encoding="utf-8")
    assert 'id="ranking"' in page
    written = {f"{path.name}/" if path.is_dir() else path.name for path in run.folder.iterdir()}
    listed = set(re.findall(r"<dt><code>(.*?)</code></dt>", page))
    assert listed == written - {"report.html"}


def test_images_that_were_deleted_leave_a_placeholder_and_a_remark(run, tmp_path):
    gone = [image for image in run.predictions("test").images if image.startswith("dark")]
    for image in gone:
        (tmp_path / "data" / image).unlink()
    heard = Heard()
    striate.evaluate(run.folder, listener=heard)
    shown = images_in(run.report)
    assert shown["missing"] == len(gone)
    assert all((row[4] < 0) == (row[0] in gone) for row in shown["images"])
    assert any(f"{len(gone)} images could not be read any more" in remark for remark in heard.said)


def test_data_that_was_moved_leaves_numbers_and_names(run, tmp_path):
    before = run.metrics()
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    shown = remade(run)
    assert shown["thumbnails"] == []
    assert shown["missing"] == len(shown["images"])
    assert run.metrics() == before


def test_a_report_is_made_anew_without_torch(run):
    code = (
        f"import sys, striate; run = striate.evaluate({str(run.folder)!r}); "
        "sys.exit(bool({'torch', 'torchvision', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_evaluation_finds_its_images_again_from_any_folder(run, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "data", tmp_path / "others")
    evaluated = striate.evaluate("run", "others", out="evaluation")
    assert evaluated.facts()["data"]["source"] == {
        "path": str((tmp_path / "others").resolve()),
        "data_root": None,
        "split": None,
    }
    evaluated = Run(evaluated.folder.absolute())
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    shown = remade(evaluated)
    assert len(shown["thumbnails"]) == len(shown["images"]) > 0


def test_an_evaluation_that_knows_no_source_shows_names_alone(run):
    run.config_file.unlink()
    shown = remade(run)
    assert (shown["thumbnails"], shown["missing"]) == ([], 0)


def test_a_permuted_run_shows_the_images_as_they_are(trained, tmp_path):
    run = striate.train(
        trained / "data", model="simple-cnn", epochs=1, batch_size=8, permute_pixels=3, out=tmp_path / "run"
    )
    shown = images_in(run.report)
    assert len(shown["thumbnails"]) == len(shown["images"])
    assert "the network saw them with their pixels permuted" in run.report.read_text()


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda found: (found.images[:-1], found.labels[:-1], found.logits[:-1]), RunError, "are missing"),
        (lambda found: (("x.png", *found.images[1:]), found.labels, found.logits), RunError, "do not belong"),
        (lambda found: (found.images, 1 - found.labels, found.logits), RunError, "another label"),
        (lambda found: (found.images, found.labels, found.logits * np.nan), DataError, "hold NaN"),
    ],
)
def test_predictions_that_do_not_fit_the_run_are_refused(run, change, error, text):
    found = run.predictions("test")
    before = {path.name: path.read_bytes() for path in (run.metrics_file, run.report)}
    other = type(found)(*change(found), found.class_names)
    run.write_predictions("test", other, predictions_table(other))
    with pytest.raises(error, match=text):
        striate.evaluate(run.folder)
    assert {path.name: path.read_bytes() for path in (run.metrics_file, run.report)} == before


def test_predictions_of_other_classes_are_refused(run):
    found = run.predictions("test")
    other = type(found)(found.images, found.labels, found.logits, ("a", "b"))
    run.write_predictions("test", other, predictions_table(other))
    with pytest.raises(RunError, match="its classes are 'a', 'b'; expected 'dark', 'light'"):
        striate.evaluate(run.folder)


def test_a_threshold_is_chosen_on_validation_and_measured_on_test(run):
    from striate.evaluation import thresholds

    striate.evaluate(run.folder, costs=(5, 1))
    found = run.metrics()["test"]["threshold"]
    points = thresholds.operating_points(run.predictions("val"))
    assert found["threshold"] == thresholds.choose_threshold(points, 5, 1)
    named = run.predictions("test").probabilities[:, 1] > found["threshold"]
    labels = run.predictions("test").labels
    assert found["true_positive"] == np.sum(named & (labels == 1))
    assert found["false_positive"] == np.sum(named & (labels == 0))
    wrong = 5 * np.sum(~named & (labels == 1)) + np.sum(named & (labels == 0))
    assert found["cost"]["value"] == pytest.approx(wrong / len(labels))
    half = run.predictions("test").predicted
    assert found["at_half"]["value"] == pytest.approx(
        (5 * np.sum((half == 0) & (labels == 1)) + np.sum((half == 1) & (labels == 0))) / len(labels)
    )
    assert (found["miss_cost"], found["false_alarm_cost"], found["chosen_on"]) == (5, 1, "val")
    assert found["positive"] == "light"
    assert "threshold" not in run.metrics()["val"]
    assert "threshold" not in striate.evaluate(run.folder).metrics()["test"]


def test_a_threshold_is_measured_on_other_images_too(run, trained, tmp_path):
    shutil.copytree(trained / "data", tmp_path / "others")
    evaluated = striate.evaluate(run.folder, tmp_path / "others", costs=(1, 3), out=tmp_path / "evaluation")
    found = evaluated.metrics()["test"]["threshold"]
    assert found["samples"] == 80
    again = striate.evaluate(evaluated.folder, costs=(1, 3))
    assert again.metrics()["test"]["threshold"] == found


@pytest.mark.parametrize(
    ("costs", "text"),
    [
        ((1,), "expected two numbers"),
        ((1, 2, 3), "expected two numbers"),
        ((-1, 2), "not negative"),
        ((0, 0), "not both 0"),
        ((float("nan"), 1), "expected two numbers"),
        (("a", 1), "expected two numbers"),
        (5, "expected two numbers"),
    ],
)
def test_costs_that_make_no_sense_are_refused(run, costs, text):
    with pytest.raises(UserError, match=text):
        striate.evaluate(run.folder, costs=costs)


def test_costs_need_validation_images_that_did_not_measure(run, trained, tmp_path):
    with pytest.raises(UserError, match="the training has seen them"):
        striate.evaluate(run.folder, tmp_path / "data", split="val", costs=(1, 1), out=tmp_path / "none")
    run.predictions_file("val").unlink()
    with pytest.raises(UserError, match="has none"):
        striate.evaluate(run.folder, costs=(1, 1))
    assert not (tmp_path / "none").exists()


def test_costs_of_more_than_two_classes_are_refused(tmp_path):
    run = striate.train("digits", fraction=0.1, model="simple-cnn", epochs=1, out=tmp_path / "run")
    with pytest.raises(UserError, match="two classes; this model has 10"):
        striate.evaluate(run.folder, costs=(1, 1))


def test_several_sets_are_weighed(run, write_images):
    sets = {"orig": (write_images("one", 10), 0.6), "new": (write_images("two:3=x", 6), 0.2)}
    heard = Heard()
    evaluated = striate.evaluate(run.model, sets=sets, out=run.folder.parent / "sets", listener=heard)
    assert evaluated.splits() == ["orig", "new"]
    metrics, total = evaluated.metrics(), evaluated.total()
    assert [metrics[name]["samples"] for name in ("orig", "new")] == [20, 12]
    accuracy = {name: metrics[name]["accuracy"]["value"] for name in metrics}
    assert total["value"] == pytest.approx(0.75 * accuracy["orig"] + 0.25 * accuracy["new"])
    assert total["low"] < total["value"] < total["high"]
    assert [(part["name"], part["samples"]) for part in total["parts"]] == [("orig", 20), ("new", 12)]
    assert [part["weight"] for part in total["parts"]] == pytest.approx([0.75, 0.25])
    assert any("weights add up to 0.8" in remark for remark in heard.said)
    for name in sets:
        found = evaluated.predictions(name)
        assert accuracy[name] == np.mean(found.predicted == found.labels)
    assert json.loads(evaluated.metrics_file.read_text())["total"] == total


def test_sets_are_weighed_anew_and_shown_with_their_own_images(run, write_images):
    sets = {"orig": write_images("one", 10), "new": write_images("two", 6)}
    evaluated = striate.evaluate(run.model, sets=sets, out=run.folder.parent / "sets")
    before = evaluated.metrics_file.read_text()
    assert [part["weight"] for part in evaluated.total()["parts"]] == [0.5, 0.5]
    evaluated.metrics_file.unlink()
    shown = remade(evaluated)
    assert evaluated.metrics_file.read_text() == before
    assert shown["split"] == "orig"
    assert len(shown["thumbnails"]) == len(shown["images"]) == 20
    assert len(evaluated.samples()) == 32


def test_sets_measure_the_images_that_they_measure_alone(run, write_images):
    folder = write_images("one", 10)
    alone = striate.evaluate(run.model, folder, out=run.folder.parent / "alone").metrics()["test"]
    sets = striate.evaluate(run.model, sets={"a": folder}, out=run.folder.parent / "sets")
    assert sets.metrics() == {"a": alone}
    assert sets.total()["value"] == alone["accuracy"]["value"]


@pytest.mark.parametrize(
    ("sets", "text"),
    [
        ({}, "sets are empty"),
        ({"a/b": "data"}, "cannot be the name of a set"),
        ({"../x": "data"}, "cannot be the name of a set"),
        ({"": "data"}, "cannot be the name of a set"),
        ({"test": "data"}, "have meanings of their own"),
        ({"total": "data"}, "have meanings of their own"),
        ({"x" * 41: "data"}, "cannot be the name of a set"),
        ({"a": "data", "A": "data"}, "differ in letter case alone"),
        ({"a": "nowhere"}, "no such path: 'nowhere'"),
        ({"a": ""}, "no such path"),
        ({"a": ("data", 0)}, "expected a positive number"),
        ({"a": ("data", -1)}, "expected a positive number"),
        ({"a": ("data", float("nan"))}, "expected a positive number"),
        ({"a": ("data", float("inf"))}, "expected a positive number"),
        ({"a": ("data", "much")}, "expected a positive number"),
        ({"a": ("data", 1), "b": "data"}, "'b' has no weight, but others have"),
        ({"a": ("data", 1, 2)}, "expected its data"),
        ({"a": 3}, "expected its data"),
    ],
)
def test_sets_that_cannot_be_evaluated_are_refused(run, monkeypatch, sets, text):
    monkeypatch.chdir(run.folder.parent)
    with pytest.raises(UserError, match=text):
        striate.evaluate("run", sets=sets, out="none")
    assert not Path("none").exists()


def test_sets_and_data_exclude_each_other(run):
    with pytest.raises(UserError, match="both given"):
        striate.evaluate(run.folder, "data", sets={"a": "data"})


def test_write_results_needs_no_listener(run):
    results.write_results(run)
    assert run.report.is_file()


@pytest.mark.parametrize("damage", ["cut", "empty", "no preprocess", "other preprocess", "no map"])
def test_damaged_maps_are_named_with_the_way_out(trained, tmp_path, damage):
    run = Run(tmp_path)
    known = {"preprocess": Run(trained / "run").facts()["data"]["preprocess"]}
    metadata = {
        "no preprocess": {},
        "other preprocess": {"preprocess": "{}"},
    }.get(damage, {name: json.dumps(value) for name, value in known.items()})
    maps = {"a.png": np.zeros((3, 3, 2) if damage == "no map" else (3, 3), np.float32)}
    content = safetensors.numpy.save(maps, metadata)
    run.maps_file("test").write_bytes({"cut": content[:-4], "empty": b""}.get(damage, content))
    with pytest.raises(RunError, match=r"cannot read .*maps-test.safetensors.* Delete it to go on without"):
        error_maps.reader(run, "test")

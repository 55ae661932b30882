"""Comparisons of run folders, and how often a test set was looked at."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from written_runs import write_run

import striate
from striate.errors import DataError, RunError, UserError
from striate.runs import Run
from striate.workflows import looks


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def four(tmp_path, data):
    """Two seeds of two recipes."""
    return [
        write_run(tmp_path / f"{name}-{seed}", data, skill=skill, draw=draw, model=name, seed=seed)
        for draw, (name, skill) in enumerate({"simple-cnn": 0.9, "mlp": 0.6}.items())
        for seed in (0, 1)
    ]


def test_runs_that_differ_by_their_seed_alone_are_one_entry(four, tmp_path):
    found = striate.compare(*(run.folder for run in four), out=tmp_path / "found")
    assert [entry["name"] for entry in found.result["entries"]] == ["simple-cnn", "mlp"]
    assert [entry["seeds"] for entry in found.result["entries"]] == [[0, 1], [0, 1]]
    assert found.result["entries"][1]["settings"] == {"model": "mlp"}
    for entry in found.result["entries"]:
        tests = [Run(run).predictions("test") for run in entry["runs"]]
        values = [np.mean(each.predicted == each.labels) for each in tests]
        assert entry["scores"]["test"]["accuracy"]["runs"] == pytest.approx(values)
    assert json.loads((found.folder / "comparison.json").read_text()) == found.result
    assert "simple-cnn" in found.page.read_text()
    written = sorted(path.name for path in found.folder.iterdir())
    assert written == ["comparison.html", "comparison.json", "differences.csv", "leaderboard.csv"]
    assert pd.read_csv(found.folder / "leaderboard.csv")["name"].tolist() == ["simple-cnn", "mlp"]


def test_options_of_the_network_make_another_recipe(tmp_path, data):
    runs = [
        write_run(tmp_path / f"a{number}", data, model="stride-cnn", model_options={"dropout": number / 2})
        for number in range(2)
    ]
    found = striate.compare(*(run.folder for run in runs), out=tmp_path / "found")
    assert [entry["settings"] for entry in found.result["entries"]] == [
        {"dropout": "0.0"},
        {"dropout": "0.5"},
    ]


def test_one_training_is_not_counted_twice(four, tmp_path, data):
    copy = write_run(tmp_path / "copy", data, model="mlp", seed=1)
    with pytest.raises(UserError, match="are the same training"):
        striate.compare(four[0].folder, four[3].folder, copy.folder, out=tmp_path / "found")


def test_runs_on_other_test_images_are_refused_with_the_way_out(four, data, tmp_path):
    other = write_run(tmp_path / "other", data, first=3, seed=2)
    with pytest.raises(DataError, match=r"40 and 40, of which 37 are the same") as caught:
        striate.compare(four[0].folder, other.folder, out=tmp_path / "found")
    assert "--set NAME=DATA" in str(caught.value)
    assert not (tmp_path / "found").exists()


def test_images_of_the_same_name_from_elsewhere_are_other_images(four, tmp_path):
    (tmp_path / "changed").mkdir()
    other = write_run(tmp_path / "other", tmp_path / "changed")
    with pytest.raises(DataError, match=r"those of .*data and of .*changed"):
        striate.compare(four[0].folder, other.folder, out=tmp_path / "found")


@pytest.mark.parametrize(
    ("names", "options", "error", "text"),
    [
        (["mlp-0"], {}, UserError, "two runs or more"),
        (["mlp-0", "mlp-0"], {}, UserError, "named twice"),
        (["mlp-0", "missing"], {}, RunError, "no run at"),
        (["mlp-0", "mlp-1"], {}, UserError, "are one recipe"),
        (["mlp-0", "simple-cnn-0"], {"split": "tset"}, UserError, "did you mean 'test'"),
        (["mlp-0", "simple-cnn-0"], {"out": "mlp-0"}, RunError, "holds a run already"),
    ],
)
def test_what_cannot_be_compared_is_refused(four, tmp_path, monkeypatch, names, options, error, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=text):
        striate.compare(*names, **options)


def test_sets_are_measured_first_and_weighed(write_stripes, tmp_path, monkeypatch):
    data = write_stripes(tmp_path / "stripes", {"across": 24, "down": 24})
    models = {"mlp": {"epochs": 1}, "simple-cnn": {"epochs": 2}}
    runs = [
        striate.train(data, model=name, engine="numpy", batch_size=8, out=tmp_path / name, **more)
        for name, more in models.items()
    ]
    new = write_stripes(tmp_path / "new", {"across": 6, "down": 6}, seed=5)
    more = write_stripes(tmp_path / "more", {"across": 4, "down": 5}, seed=6)
    sets = {"new": (new, 3), "more": (more, 1)}
    found = striate.compare(*(run.folder for run in runs), sets=sets, out=tmp_path / "found")
    for entry in found.result["entries"]:
        scores = {name: each["accuracy"]["value"] for name, each in entry["scores"].items()}
        assert scores["total"] == pytest.approx(0.75 * scores["new"] + 0.25 * scores["more"])
    assert "weighted total" in found.page.read_text()
    assert [entry["name"] for entry in found.result["entries"]] == ["mlp", "simple-cnn"]


def test_a_comparison_that_fails_leaves_the_place_to_the_corrected_one(four, tmp_path, monkeypatch):
    def measure(folder, *, out, **_):
        shutil.copytree(folder, out)
        return Run(out)

    monkeypatch.setattr("striate.workflows.evaluate.evaluate", measure)
    folders = [run.folder for run in four]
    options = {"sets": {"test": (tmp_path / "data", 1)}, "out": tmp_path / "found"}
    with pytest.raises(UserError, match="did you mean 'test'"):
        striate.compare(*folders, split="tset", **options)
    assert not (tmp_path / "found" / "evaluations").exists()
    assert striate.compare(*folders, **options).page.is_file()


def test_runs_of_studies_are_called_after_their_recipes(tmp_path, data):
    places = [
        f"{study}/runs/{name}/seed-{seed}" for study in "ab" for name in ("base", "x=1") for seed in (0, 1)
    ]
    runs = [
        write_run(tmp_path / place, data, draw=number, model="mlp", epochs=1 + number // 2, seed=number % 2)
        for number, place in enumerate(places)
    ]
    found = striate.compare(*(run.folder for run in runs), out=tmp_path / "found")
    expected = ["a/runs/base", "a/runs/x=1", "b/runs/base", "b/runs/x=1"]
    assert [entry["name"] for entry in found.result["entries"]] == expected
    single = striate.compare(runs[0].folder, runs[2].folder, out=tmp_path / "single")
    assert [entry["name"] for entry in single.result["entries"]] == ["base/seed-0", "x=1/seed-0"]


def test_seeds_on_other_images_are_no_seeds_of_one_recipe(tmp_path, data):
    runs = [
        write_run(tmp_path / f"mlp-{n}", data, draw=n, model="mlp", split_seed=3, seed=n) for n in range(3)
    ]
    for run, images in zip(runs, "aab", strict=True):
        run.write_facts(run.facts() | {"data": run.facts()["data"] | {"fingerprint": images}})
    found = striate.compare(*(run.folder for run in runs), out=tmp_path / "found")
    assert [entry["seeds"] for entry in found.result["entries"]] == [[0, 1], [2]]


def test_a_split_that_is_named_or_follows_from_the_seed_is_the_same(tmp_path, data):
    first = write_run(tmp_path / "mlp-0", data, draw=0, model="mlp", seed=0)
    second = write_run(tmp_path / "mlp-1", data, draw=1, model="mlp", seed=1, split_seed=0)
    with pytest.raises(UserError, match="are one recipe"):
        striate.compare(first.folder, second.folder, out=tmp_path / "found")


def test_a_model_counts_as_one_look_however_often_it_is_scored(tmp_path, data):
    first = write_run(tmp_path / "first", data, draw=1)
    again = write_run(tmp_path / "again", data, draw=1)
    other = write_run(tmp_path / "other", data, draw=2)
    for run, expected in ((first, 1), (first, 1), (again, 1), (other, 2)):
        looks.record(run)
        assert looks.count(first, "test") == expected
    shutil.rmtree(other.folder)
    assert looks.count(first, "test") == 2  # what was seen stays seen


def test_a_line_cut_short_and_a_folder_that_cannot_be_written_stop_nobody(tmp_path, data, monkeypatch):
    run = write_run(tmp_path / "run", data)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STRIATE_STATE", str(tmp_path / "file"))
    looks.record(run)
    assert looks.count(run, "test") == 0
    monkeypatch.setenv("STRIATE_STATE", str(tmp_path / "state"))
    looks.record(run)
    (path,) = (tmp_path / "state" / "looks").iterdir()
    path.write_text(path.read_text() + '{"answers": "ab')
    assert looks.count(run, "test") == 1

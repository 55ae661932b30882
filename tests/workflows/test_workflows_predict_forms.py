"""Forms in which predictions are given: CSV and JSON, the most probable classes, views, sorted copies."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import striate
from striate import bundle, cli, schemas
from striate.errors import UserError
from striate.inference.sorting import Names, safe_name
from striate.runs import Run

CLASSES = ("across", "down", "slanted")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Where the images and the run of this module lie."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def stripes(write_stripes, trained):
    if not (trained / "stripes").is_dir():
        write_stripes(trained / "stripes", dict.fromkeys(CLASSES, 8))
    return trained / "stripes"


@pytest.fixture
def run(stripes, trained):
    if not (trained / "run").is_dir():
        options = {"model": "simple-cnn", "epochs": 1, "batch_size": 8, "engine": "numpy"}
        striate.train(stripes, out=trained / "run", **options)
    return Run(trained / "run")


def predict(run, images, **options):
    return striate.predict(run.folder, images, engine="numpy", **options)


def renamed(run, folder, names):
    """A copy of the model whose classes have other names."""
    shutil.copytree(run.model, folder)
    record = json.loads((folder / bundle.RECORD_FILE).read_text())
    record["class_names"] = list(names)
    (folder / bundle.RECORD_FILE).write_text(json.dumps(record))
    return folder


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Files


def test_json_holds_an_object_an_image_with_what_the_table_has(run, stripes, tmp_path):
    result = predict(run, stripes, out=tmp_path / "named.json", abstain=0.5)
    records = json.loads((tmp_path / "named.json").read_text("utf-8"))
    assert records == result.records()
    assert len(records) == len(result.table) == 24
    for record, row in zip(records, result.table.to_dict("records"), strict=True):
        assert record["image"] == row["image"]
        assert record["predicted"] == row["predicted"]
        assert record["abstained"] == bool(row["abstained"])
        assert record["probability"] == pytest.approx(row["probability"], abs=1e-6)
        given = {name: pytest.approx(row[f"p({name})"], abs=1e-6) for name in CLASSES}
        assert record["probabilities"] == given
        assert list(record["probabilities"].values()) == sorted(
            record["probabilities"].values(), reverse=True
        )


@pytest.mark.parametrize("name", ["p.xlsx", "p", "p.csv.gz", ".json"])
def test_other_files_are_refused_by_name_before_any_work(tmp_path, name):
    with pytest.raises(UserError, match=r"cannot write .*: expected a name that ends in \.csv or \.json"):
        striate.predict(tmp_path / "no-model", tmp_path, out=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_ending_is_read_in_capitals_too_and_of_the_name_that_was_given(run, stripes, tmp_path):
    (tmp_path / "named.JSON").symlink_to(tmp_path / "elsewhere.txt")
    (tmp_path / "elsewhere.txt").write_text("")
    predict(run, stripes / "down", out=tmp_path / "named.JSON")
    assert len(json.loads((tmp_path / "elsewhere.txt").read_text())) == 8


# The most probable classes


@pytest.mark.parametrize("top", [1, 2, 3])
def test_the_table_names_the_most_probable_classes(run, stripes, tmp_path, top):
    plain = predict(run, stripes).table
    result = predict(run, stripes, top=top, abstain=0.4, out=tmp_path / "named.csv")
    table = schemas.read_table(tmp_path / "named.csv")
    ranks = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
    assert list(table.columns) == [*schemas.PREDICTION_COLUMNS, "abstained", *ranks]
    assert list(table["class_1"]) == list(table["predicted"]) == list(plain["predicted"])
    for (_, row), (_, all_of_them) in zip(table.iterrows(), plain.iterrows(), strict=True):
        expected = sorted((float(all_of_them[f"p({name})"]) for name in CLASSES), reverse=True)[:top]
        assert [float(row[f"probability_{rank}"]) for rank in range(1, top + 1)] == expected
        for rank in range(1, top + 1):
            assert float(all_of_them[f"p({row[f'class_{rank}']})"]) == float(row[f"probability_{rank}"])
    assert all(len(record["probabilities"]) == top for record in result.records())


def test_of_equally_probable_classes_the_first_leads():
    from striate.inference.answers import ranked

    logits = np.array([[1, 3, 3, 2, 3]], np.float32)
    order, probabilities = ranked(schemas.Predictions(("a",), np.array([-1]), logits, tuple("abcde")), 4)
    assert order.tolist() == [[1, 2, 4, 3]]
    assert probabilities[0, 0] == probabilities[0, 2] > probabilities[0, 3]


def test_many_classes_have_five_in_json_unless_more_are_asked_for():
    from striate.workflows.predict import PredictionTable

    names = tuple(f"c{number}" for number in range(60))
    logits = np.random.default_rng(0).normal(size=(2, 60)).astype(np.float32)
    predictions = schemas.Predictions(("a", "b"), np.full(2, -1), logits, names)
    for top, expected in ((None, 5), (7, 7)):
        records = PredictionTable(None, predictions, (), top=top).records()
        assert [len(record["probabilities"]) for record in records] == [expected] * 2


@pytest.mark.parametrize("top", [0, -3])
def test_no_class_is_refused_before_anything_is_read(tmp_path, top):
    with pytest.raises(UserError, match="at least 1"):
        striate.predict(tmp_path / "no-model", tmp_path, top=top)


def test_more_classes_than_there_are_are_refused(run, stripes):
    with pytest.raises(UserError, match="top is 4, but the model has 3 classes"):
        predict(run, stripes, top=4)


def test_the_command_shows_and_tells_the_most_probable_classes(run, stripes, capsys):
    command = ["predict", str(run.folder), str(stripes / "down"), "--engine", "numpy", "--top", "2", "-q"]
    expected = predict(run, stripes / "down", top=2).records()
    assert cli.run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["image", "predicted", "probability", "then"]
    for line, record in zip(lines[1:], expected, strict=True):
        (first, top), (second, less) = record["probabilities"].items()
        assert line.split()[1:] == [first, f"{top:.1%}", second, f"{less:.1%}"]
    assert cli.run([*command, "--log", "json"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"] == expected


# Views


def test_views_are_averaged_as_the_classifier_averages_them(run, stripes):
    classifier = striate.load(run.model, engine="numpy")
    found = predict(run, stripes / "down", views="flip")
    expected = classifier.predict_files(sorted((stripes / "down").iterdir()), views="flip")
    np.testing.assert_array_equal(found.predictions.logits, expected.logits)
    assert not np.allclose(found.predictions.logits, predict(run, stripes / "down").predictions.logits)


def test_unknown_views_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match="unknown views 'flips': did you mean 'flip'"):
        striate.predict(tmp_path / "no-model", tmp_path, views="flips")


# Sorted copies


def test_photos_are_copied_to_folders_of_their_classes(run, stripes, tmp_path, capsys):
    before = content(stripes)
    threshold = float(np.median(predict(run, stripes).predictions.probabilities.max(axis=1)))
    result = predict(run, stripes, abstain=threshold, copy_to=tmp_path / "sorted")
    assert content(stripes) == before
    assert len(set(result.copies)) == len(content(tmp_path / "sorted")) == 24  # eight are called 000.png
    for copy, record in zip(result.copies, result.records(), strict=True):
        assert copy.parent.name == ("unsure" if record["abstained"] else record["predicted"])
        assert copy.read_bytes() == Path(record["image"]).read_bytes()
        assert copy.stat().st_mtime_ns == os.stat(record["image"]).st_mtime_ns
        assert record["copy"] == str(copy)


def test_nothing_is_overwritten_and_a_second_time_adds(run, stripes, tmp_path):
    command = ["predict", str(run.folder), str(stripes / "down"), "--engine", "numpy", "-q"]
    command += ["--copy-to", str(tmp_path / "sorted")]
    assert cli.run(command) == 0
    first = content(tmp_path / "sorted")
    assert cli.run(command) == 0
    second = content(tmp_path / "sorted")
    assert first.items() <= second.items()
    assert len(second) == 2 * len(first) == 16


def test_the_command_says_how_many_were_copied_where(run, stripes, tmp_path, capsys):
    command = ["predict", str(run.folder), str(stripes), "--engine", "numpy", "-q", "--abstain", "1"]
    assert cli.run([*command, "--copy-to", str(tmp_path / "sorted")]) == 0
    assert f"24 photos copied into {tmp_path / 'sorted'}: 24 to unsure" in capsys.readouterr().out
    assert cli.run([*command, "--copy-to", str(tmp_path / "more"), "--log", "json"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["copies"] == 24


def test_nothing_is_written_within_the_photos(run, stripes, tmp_path):
    before = content(stripes)
    (tmp_path / "link").symlink_to(stripes / "down")
    for folder in (stripes, stripes / "sorted", tmp_path / "link"):
        with pytest.raises(UserError, match="Choose another --copy-to, outside of it"):
            striate.predict("no-model", stripes, copy_to=folder)
    with pytest.raises(UserError, match="lies within"):  # the folder of the class `down` is the source
        predict(run, stripes / "down", copy_to=stripes)
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "down").symlink_to(stripes / "across")
    with pytest.raises(UserError, match="lies within"):
        predict(run, stripes, copy_to=tmp_path / "sorted")
    assert content(stripes) == before


def test_names_of_classes_become_safe_and_different_folders(run, stripes, tmp_path):
    model = renamed(run, tmp_path / "model", ["../up", "..:UP", "unsure"])
    result = striate.predict(model, stripes, copy_to=tmp_path / "sorted", abstain=0, engine="numpy")
    folders = {
        record["predicted"]: copy.relative_to(tmp_path / "sorted").parts[0]
        for record, copy in zip(result.records(), result.copies, strict=True)
    }
    known = {"../up": "_up", "..:UP": "_UP-2", "unsure": "unsure-2"}
    assert folders.items() <= known.items()
    assert {path.name for path in tmp_path.iterdir()} == {"model", "sorted"}


def test_a_folder_that_cannot_be_made_is_told(run, stripes, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Choose another --copy-to"):
        predict(run, stripes, copy_to=tmp_path / "file")
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "down").write_text("")
    with pytest.raises(UserError, match="it is no folder"):
        predict(run, stripes / "across", copy_to=tmp_path / "sorted", out=tmp_path / "table.csv")
    assert [path.name for path in (tmp_path / "sorted").iterdir()] == ["down"]


def test_what_was_measured_without_views_is_not_told_of_answers_with_them(run, stripes):
    assert predict(run, stripes, abstain=0.1).abstention.measured is not None
    assert predict(run, stripes, abstain=0.1, views="flip").abstention.measured is None
    with pytest.raises(UserError, match="without --views"):
        striate.evaluate(run.folder, stripes, abstain=0.5, views="flip")
    with pytest.raises(UserError, match="name them as DATA"):
        striate.evaluate(run.folder, views="flip")


@pytest.mark.parametrize(
    ("options", "text"),
    [({"top": 1.5}, "top is 1.5"), ({"top": True}, "top is True"), ({"abstain": "x"}, "abstain is 'x'")],
)
def test_arguments_of_another_kind_are_refused(tmp_path, options, text):
    with pytest.raises(UserError, match=text):
        striate.predict(tmp_path, tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat", "cat"),
        ("x" * 199 + " y", "x" * 199),
        ("x" * 199 + "." + "y" * 30, "x" * 199),
        ("CON .txt", "_CON.txt"),
        ("conin$", "_conin$"),
        ("com¹.jpg", "_com¹.jpg"),
        ("Käfer 3", "Käfer 3"),
        ("a/b\\c:d", "a_b_c_d"),
        ("..", "_"),
        ("", "_"),
        ("-rf", "_rf"),
        ("x\n\x1b\u202e", "x___"),
        ("CON", "_CON"),
        ("nul.png", "_nul.png"),
        ("n" * 300 + ".png", "n" * 196 + ".png"),
        ("é" * 300, "é" * 100),
    ],
)
def test_names_are_made_safe(name, safe):
    assert safe_name(name) == safe
    assert safe_name(safe) == safe


def test_many_photos_that_are_called_alike_are_counted():
    names = Names(["x-3.png"])
    given = [names.give("x.png") for _ in range(20_000)]
    assert given[:4] == ["x.png", "x-2.png", "x-4.png", "x-5.png"]
    assert len(set(given)) == 20_000
    assert names.give("X.PNG") == "X-20002.PNG"

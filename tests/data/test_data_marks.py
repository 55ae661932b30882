"""Marks: images left out of every split, and images with another class."""

from __future__ import annotations

import pytest

from striate.config import DataConfig
from striate.data import prepare
from striate.errors import DataError


@pytest.fixture
def folder(tmp_path, write_pictures):
    return write_pictures(tmp_path / "set", {"cat": 10, "dog": 10})


def written(tmp_path, text):
    path = tmp_path / "marks.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_marks_leave_images_out_and_change_classes(folder, tmp_path):
    marks = written(
        tmp_path,
        "image,action,label\ncat/000.png,drop,\ncat/001.png,relabel,dog\ndog/002.png,keep,\n",
    )
    plain = prepare(DataConfig(data=str(folder)))
    sets = prepare(DataConfig(data=str(folder), exclude=marks, relabel=marks))
    samples = sets.samples.set_index("path")
    assert tuple(samples.loc["cat/000.png", ["split", "note"]]) == ("", "left out by --exclude")
    assert samples.loc["cat/001.png", "label"] == "dog"
    assert samples["label"].value_counts().to_dict() == {"dog": 11, "cat": 9}
    used = {path for images in (sets.train, sets.val, sets.test) for path in images.paths}
    assert used == set(samples.index) - {"cat/000.png"}
    assert sets.fingerprint != plain.fingerprint
    assert "Left out 1 image(s), as --exclude says." in sets.messages
    assert "Gave 1 image(s) another class, as --relabel says." in sets.messages


def test_each_option_takes_its_own_rows_of_the_file(folder, tmp_path):
    marks = written(tmp_path, "image,action,label\ncat/000.png,drop,\ncat/001.png,relabel,dog\n")
    only_excluded = prepare(DataConfig(data=str(folder), exclude=marks)).samples.set_index("path")
    assert only_excluded.loc["cat/001.png", "label"] == "cat"
    only_relabelled = prepare(DataConfig(data=str(folder), relabel=marks)).samples.set_index("path")
    assert only_relabelled.loc["cat/000.png", "note"] == ""


def test_a_plain_list_of_images_is_excluded(folder, tmp_path):
    listed = written(tmp_path, "image\ncat/000.png\n")
    samples = prepare(DataConfig(data=str(folder), exclude=listed)).samples
    assert (samples["note"] != "").sum() == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,action,label\ncat/000.png,relabel,dgo\n", "unknown class 'dgo': did you mean 'dog'"),
        (
            "image,action,label\ncat/99.png,relabel,dog\n",
            "1 image.s. that set does not hold.*cat/99.png",
        ),
        ("image,action,label\ncat/000.png,rename,dog\n", "line 2: unknown action 'rename'"),
        ("path,label\ncat/000.png,dog\n", "no column 'image'"),
    ],
)
def test_marks_that_make_no_sense_are_refused(folder, tmp_path, text, expected):
    with pytest.raises(DataError, match=expected):
        prepare(DataConfig(data=str(folder), relabel=written(tmp_path, text)))


def test_a_missing_file_of_marks_is_one_clear_line(folder, tmp_path):
    with pytest.raises(DataError, match=r"cannot read marks from .*gone.csv: No such file"):
        prepare(DataConfig(data=str(folder), exclude=str(tmp_path / "gone.csv")))

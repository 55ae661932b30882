"""Augmented copies of data sets."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate.cli import run
from striate.data.augment import augment
from striate.data.sources import Sample, Source
from striate.data.table import read_csv
from striate.errors import DataError, RunError, UserError
from striate.workflows.augment_data import _places


@pytest.fixture
def photos(write_stripes, tmp_path):
    return write_stripes(
        tmp_path / "photos", {"train/across": 3, "train/down": 3, "test/across": 2, "test/down": 2}
    )


def read(path):
    return np.asarray(Image.open(path))


def test_every_image_is_written_augmented_where_its_class_and_split_are(photos, tmp_path):
    found = striate.augment_data(photos, out=tmp_path / "out", seed=1)
    written = sorted(path.relative_to(found.folder) for path in found.folder.rglob("*.png"))
    assert written == sorted(path.relative_to(photos) for path in photos.rglob("*.png"))
    assert found.images == len(written) == 10
    paths = sorted(photos.rglob("*.png"), key=lambda path: path.relative_to(photos).as_posix())
    for index, path in enumerate(paths):
        image = torch.from_numpy(read(path).transpose(2, 0, 1)[None].copy())
        expected = augment(image, "photo", seed=1, epoch=0, indices=np.array([index])).numpy()[0]
        np.testing.assert_array_equal(
            read(found.folder / path.relative_to(photos)).transpose(2, 0, 1), expected
        )
    record = json.loads((found.folder / "augmented.json").read_text())
    assert (record["preset"], record["seed"], record["images"]) == ("photo", 1, 10)


def test_the_same_seed_gives_the_same_images_whichever_split_is_written(photos, tmp_path):
    whole = striate.augment_data(photos, out=tmp_path / "whole", preset="trivial", seed=2)
    part = striate.augment_data(photos, out=tmp_path / "part", preset="trivial", seed=2, split="test")
    other = striate.augment_data(photos, out=tmp_path / "other", preset="trivial", seed=3, split="test")
    names = [path.relative_to(part.folder) for path in part.folder.rglob("*.png")]
    assert {name.parts[0] for name in names} == {"test"}
    assert all((part.folder / name).read_bytes() == (whole.folder / name).read_bytes() for name in names)
    assert any((part.folder / name).read_bytes() != (other.folder / name).read_bytes() for name in names)


def test_images_that_do_not_decode_are_left_out_and_names_told_apart(photos, tmp_path):
    (photos / "test" / "down" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    Image.open(photos / "test" / "down" / "000.png").save(photos / "test" / "down" / "000.jpg")
    found = striate.augment_data(photos, out=tmp_path / "out", split="test")
    assert [path for path, _ in found.left_out] == ["test/down/broken.jpg"]
    names = sorted(path.name for path in (found.folder / "test" / "down").iterdir())
    assert names == ["000-2.png", "000.png", "001.png"]


@pytest.mark.timeout(60)
def test_many_images_of_one_name_are_numbered_in_their_order():
    samples = [Sample(f"{n}/{'A' if n % 2 else 'a'}.png", "cat") for n in range(50_000)]
    samples.append(Sample("x/a-2.png", "cat"))
    places = list(map(str, _places(Source("set", tuple(samples)), range(len(samples)))))
    assert places[:4] == ["cat/a.png", "cat/A-2.png", "cat/a-3.png", "cat/A-4.png"]
    assert places[-1] == "cat/a-2-2.png"
    assert len({place.casefold() for place in places}) == len(places)


def test_images_whose_names_are_no_text_are_left_out_and_told(photos, tmp_path, capsys):
    name = os.fsencode(photos / "test" / "down") + b"/\xff.png"
    shutil.copy(photos / "test" / "down" / "000.png", name)
    assert run(["data augment", str(photos), "--out", str(tmp_path / "out"), "--split", "test"]) == 0
    assert "1 image(s) are left out because their names are not valid text" in capsys.readouterr().err
    (left,) = json.loads((tmp_path / "out" / "augmented.json").read_text())["left_out"]
    assert left["path"].startswith("test/down/")
    assert "not valid text" in left["reason"]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4
    striate.augment_data(photos, out=tmp_path / "train", split="train")
    assert json.loads((tmp_path / "train" / "augmented.json").read_text())["left_out"] == []


def test_classes_that_cannot_be_folders_are_told_by_a_table(photos, tmp_path):
    rows = [
        f"{path.relative_to(photos).as_posix()},{label},test"
        for path, label in zip(sorted(photos.rglob("*.png")), ["T-shirt/top", "train"] * 5, strict=True)
    ]
    (photos / "table.csv").write_text("\n".join(["image,label,split", *rows]))
    found = striate.augment_data(photos / "table.csv", out=tmp_path / "out")
    assert found.data == tmp_path / "out" / "labels.csv"
    source = read_csv(found.data)
    assert sorted(sample.label for sample in source.samples) == ["T-shirt/top"] * 5 + ["train"] * 5
    assert source.splits == ("test",)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"preset": "phto"}, UserError, "did you mean 'photo'"),
        ({"split": "tset"}, UserError, "did you mean 'test'"),
        ({"split": "val"}, DataError, "no split 'val'; it has train, test"),
        ({"out": "photos"}, RunError, "is there already"),
        ({"out": "photos/new"}, UserError, "lies within"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_left(
    photos, tmp_path, monkeypatch, options, error, text
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=text):
        striate.augment_data("photos", **{"out": "out"} | options)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_tells_what_to_evaluate_on(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["data", "augment", "photos", "--split", "test", "--out", "out", "--log", "json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["data"], result["images"], result["left_out"]) == ("out", 4, [])
    assert run(["data", "augment", "photos", "--split", "test", "--out", "more", "-q"]) == 0
    assert capsys.readouterr().out == "4 images: more\n"


def test_a_failure_half_way_leaves_no_folder(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("striate.workflows.augment_data._record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        striate.augment_data(photos, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]

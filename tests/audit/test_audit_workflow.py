"""The audit from Python and from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from encoded import encode
from PIL import Image

import striate
from striate import schemas
from striate.cli import run
from striate.errors import UserError
from striate.workflows import audit_features


@pytest.fixture
def folder(tmp_path, tiles):
    """Two classes; a copy of a training image in the test set, and one that is in another class."""
    places = {f"train/{'ab'[n % 2]}/{n:02d}.png": tile for n, tile in enumerate(tiles)}
    places |= {"test/a/leak.png": tiles[0].resize((80, 80)), "test/b/other.png": tiles[2].rotate(90)}
    places |= {"train/b/wrong.png": tiles[4]}
    for name, tile in places.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(tile))
    return tmp_path / "set"


def test_audit_writes_page_tables_and_facts(folder, tmp_path):
    audit = striate.audit_data(folder, out=tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))
    assert facts["duplicates"]["leaked"] == {"test": 1}
    assert facts["duplicates"]["conflicting_labels"] == 1
    table = schemas.read_table(tmp_path / "out" / "duplicates.csv")
    assert set(table["image"]) == {"train/a/00.png", "test/a/leak.png", "train/a/04.png", "train/b/wrong.png"}
    assert table.set_index("image").loc["train/a/00.png", "suggested"] == "drop"
    assert "leak.png" in audit.page.read_text("utf-8")


def test_features_bring_doubts_and_outliers(folder, tmp_path):
    images = striate.audit_data(folder, out=tmp_path / "first").findings.images
    generator = np.random.default_rng(0)
    features = generator.normal(0, 1, (len(images), 4))
    features[:, 0] += [10 * (label == "a") for label in images.labels]
    audit = striate.audit_data(folder, out=tmp_path / "out", features=features)
    assert audit.findings.doubts == ()
    assert (tmp_path / "out" / "doubtful-labels.csv").is_file()
    with pytest.raises(ValueError, match="expected floats"):
        striate.audit_data(folder, out=tmp_path / "out", features=features[1:])


def test_the_command_computes_features_and_says_where_they_tell_nothing(
    folder, tmp_path, monkeypatch, capsys
):
    def features_of(images, source, data, listener):
        assert data == str(folder)
        assert set(images.paths) == {sample.path for sample in source.samples}
        generator = np.random.default_rng(0)
        found = generator.normal(0, 1, (len(images), 4)).astype(np.float32)
        found[:, 0] += [10 * (label == "a") for label in images.labels]
        found[3] += 100
        return found

    monkeypatch.setattr(audit_features, "features_of", features_of)
    command = ["data", "audit", str(folder), "--features", "-q", "--out", str(tmp_path / "out")]
    assert run(command) == 0
    assert "1 image resembles no other image." in capsys.readouterr().out
    assert (tmp_path / "out" / "outliers.csv").is_file()
    for path in sorted((folder / "train" / "b").iterdir())[2:]:
        path.unlink()
    for path in (folder / "test" / "b").iterdir():
        path.unlink()
    assert run(command) == 0
    assert "at least 5 images each" in capsys.readouterr().err


def test_groups_keep_images_out_of_two_folds(tmp_path):
    """Six plants with twenty photos each; the size says which plant, and nothing of the class."""
    for plant in range(6):
        place = tmp_path / "set" / "ab"[plant % 2]
        place.mkdir(parents=True, exist_ok=True)
        for photo in range(20):
            noise = np.random.default_rng(100 * plant + photo).integers(0, 256, (20, 20 + 3 * plant, 3))
            (place / f"{plant}_{photo}.png").write_bytes(encode(Image.fromarray(noise.astype(np.uint8))))

    def strength(**options):
        audit = striate.audit_data(tmp_path / "set", out=tmp_path / "out", **options)
        return {found.cue: found.strength for found in audit.findings.shortcuts}["image size"]

    assert strength() != "none"
    assert strength(group_by=r"(\d)_") == "none"


def test_command_tells_its_result_as_json(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(["data", "audit", str(folder), "--out", str(out), "--log", "json"], as_json=True) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "result"
    assert lines[-1]["page"] == str(out / "audit.html")
    assert {"reading images", "looking for shortcuts"} <= {line.get("name") for line in lines}


def test_command_prints_what_must_be_known(folder, tmp_path, capsys):
    assert run(["data", "audit", str(folder), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 test images (50.0%) have a copy in train" in printed
    assert printed.endswith(f"page: {tmp_path / 'out' / 'audit.html'}\n")


def test_data_without_images_is_one_clear_line(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="no image that decodes"):
        run(["data", "audit", str(tmp_path / "set"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_among_the_images(folder):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match="lies within"):
        striate.audit_data(folder, out=folder / "audit")
    assert sorted(folder.rglob("*")) == before


def test_a_tiny_class_does_not_hide_the_doubts_of_the_others(tmp_path):
    generator = np.random.default_rng(0)
    labels = ["a"] * 4 + ["b", "c"] * 20
    for number, label in enumerate(labels):
        path = tmp_path / "set" / label / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Image.fromarray(generator.integers(0, 256, (40, 40, 3), np.uint8))))
    names = striate.audit_data(tmp_path / "set", out=tmp_path / "first").findings.images
    features = generator.normal(0, 1, (len(names), 4))
    features[:, 0] += [10 * (label == "b") for label in names.labels]
    wrong = names.labels.index("c") + 3
    features[wrong, 0] = 10
    found = striate.audit_data(tmp_path / "set", out=tmp_path / "out", features=features).findings.doubts
    assert [(doubt.number, doubt.suggested) for doubt in found] == [(wrong, "b")]

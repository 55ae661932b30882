"""Predictions of image files and folders."""

from __future__ import annotations

import os

import pytest

import striate
from striate import schemas
from striate.errors import DataError, UserError


@pytest.fixture
def stripes(write_stripes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_stripes(tmp_path / "stripes", {"across": 12, "down": 12})


@pytest.fixture
def run(stripes):
    return striate.train(stripes, model="simple-cnn", epochs=1, batch_size=8)


def test_a_table_holds_a_row_an_image_with_probabilities(run, stripes, tmp_path):
    result = striate.predict(run.folder, [stripes / "down"], out=tmp_path / "named.csv")
    table = schemas.read_table(tmp_path / "named.csv")
    assert list(table.columns[:4]) == list(schemas.PREDICTION_COLUMNS)
    assert len(table) == len(result.predictions.images) == 12
    sums = table["p(across)"].astype(float) + table["p(down)"].astype(float)
    assert sums.to_numpy() == pytest.approx(1, abs=1e-5)


def test_unreadable_files_are_left_out_and_told(run, stripes):
    (stripes / "down" / "torn.png").write_bytes(b"\x89PNG torn")
    result = striate.predict(run.folder, stripes / "down")
    assert len(result.table) == 12
    assert [path for path, _ in result.problems] == [str(stripes / "down" / "torn.png")]


def test_only_unreadable_files_are_an_error_that_writes_nothing(run, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(DataError, match="none of the 1 images could be read"):
        striate.predict(run.folder, tmp_path / "torn.png", out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_what_cannot_be_predicted_is_refused(run, stripes, tmp_path):
    with pytest.raises(UserError, match="no such image or folder"):
        striate.predict(run.folder, tmp_path / "none.png")
    with pytest.raises(UserError, match="there is no folder"):
        striate.predict(run.folder, stripes, out=tmp_path / "none" / "out.csv")


def test_a_file_whose_name_is_no_text_is_left_out_and_told(run, stripes, tmp_path):
    with open(os.fsencode(stripes / "down") + b"/\xff.png", "wb") as file:
        file.write((stripes / "down" / "000.png").read_bytes())
    result = striate.predict(run.folder, stripes / "down", out=tmp_path / "named.csv")
    assert len(result.table) == 12
    assert [(path[-8:], "UTF-8" in reason) for path, reason in result.problems] == [(r"dcff.png", True)]

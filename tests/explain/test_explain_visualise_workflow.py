"""`striate explain --visualise` writes pictures, numbers and one page that is closed in itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import striate
from striate.cli import run
from striate.errors import UserError


def test_visualise_writes_pictures_numbers_and_page(model: Path, tmp_path: Path) -> None:
    found = striate.visualise(model, "classes", steps=4, out=tmp_path / "out")
    facts = json.loads((found.folder / "visualised.json").read_text())
    assert [fact["name"] for fact in facts["images"]] == list(found.made.names)
    for fact in facts["images"]:
        with Image.open(found.folder / fact["picture"]) as picture:
            assert picture.size == (24, 24)
    page = Path(found.page).read_text()
    assert "&lt;b&gt;cross" in page
    assert "<b>cross" not in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_command_takes_layers_channels_numbers_and_classes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", str(model), "--quiet", "--steps", "2", "--size", "16"]
    for number, (what, said) in enumerate(
        [
            ("conv2", "16 images of conv2"),
            ("conv2,3", "1 image of conv2;"),
            ("conv3,3,1,2", "1 image of conv3;"),
        ]
    ):
        assert run([*command, "--visualise", what, "--out", str(tmp_path / str(number))]) == 0
        assert said in capsys.readouterr().out
    chosen = ["--visualise", "classes", "--class", "stripes", "--out", str(tmp_path / "class")]
    assert run([*command, *chosen]) == 0
    assert "1 image of classes;" in capsys.readouterr().out


def test_what_makes_no_sense_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected LAYER, LAYER,CHANNEL or LAYER,CHANNEL,Y,X"):
        striate.visualise(model, "conv2,1,2", out=tmp_path / "out")
    with pytest.raises(UserError, match="a class has no part in layer 'conv2'"):
        striate.visualise(model, "conv2", class_name="stripes", out=tmp_path / "out")
    with pytest.raises(UserError, match="leave the images out"):
        run(["explain", str(model), "photo.jpg", "--visualise", "conv2"])
    with pytest.raises(UserError, match="give --visualise LAYER"):
        run(["explain", str(model), "photo.jpg", "--steps", "3"])

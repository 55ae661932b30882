"""`striate explain` writes pictures, maps and one page that is closed in itself."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import striate
from conftest import draw
from striate.cli import run
from striate.errors import DataError, UserError
from striate.explain import Subject, class_maps
from striate.workflows.explain_folder import name_of
from striate.workflows.listener import Listener


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images, of which one is larger than the network's input, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels, _ = draw(2, seed=3)
    for number, image in enumerate(pixels):
        shown = Image.fromarray(image.transpose(1, 2, 0))
        shown.resize((60 + 30 * number, 60)).save(folder / f"{number}<script>.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_explain_writes_pictures_maps_facts_and_page(model: Path, photos: Path, tmp_path: Path) -> None:
    found = striate.explain(model, photos, out=tmp_path / "out")
    assert len(found.explanations) == 2
    assert found.problems[0][0].endswith("broken.jpg")
    facts = json.loads((found.folder / "explain.json").read_text())
    for one, fact in zip(found.explanations, facts["images"], strict=True):
        with Image.open(found.folder / fact["picture"]) as picture:
            assert picture.size == one.picture().size
        assert fact["trust"]["verdict"] == one.verdict.level
    maps = safetensors.numpy.load_file(found.folder / "maps.safetensors")
    assert np.array_equal(maps["0002"], found.explanations[1].values)


def test_page_escapes_names_and_loads_nothing(model: Path, photos: Path, tmp_path: Path) -> None:
    found = striate.explain(model, photos, out=tmp_path / "out", trust=False)
    page = Path(found.page).read_text()
    assert "<b>cross</b>" not in page
    assert "<script" not in page
    assert "ring &amp; co" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "srcdoc" in found._repr_html_()
    assert "srcdoc" in found.explanations[0]._repr_html_()


def test_map_lies_where_the_frame_of_the_input_is(model: Path, tmp_path: Path) -> None:
    pixels, _ = draw(1, seed=3)
    subject = Subject.of(striate.load(model))
    (expected,) = class_maps(subject, pixels).values
    Image.fromarray(pixels[0].transpose(1, 2, 0)).save(tmp_path / "one.png")
    (one,) = striate.explain(model, tmp_path / "one.png", out=tmp_path / "out", trust=False).explanations
    assert np.array_equal(one.values, expected)
    assert one.overlay().shape == (24, 24, 3)


def test_class_method_and_layer_can_be_chosen(model: Path, photos: Path, tmp_path: Path) -> None:
    chosen = {"class_name": "stripes", "method": "layer-cam", "layer": "relu2"}
    found = striate.explain(model, photos, trust=False, out=tmp_path / "out", **chosen)
    made = {(one.label, one.method, one.layer) for one in found.explanations}
    assert made == {("stripes", "LayerCAM", "relu2")}


def test_figure_shows_curves_and_verdict(model: Path, photos: Path, tmp_path: Path) -> None:
    (one, *_) = striate.explain(model, photos, out=tmp_path / "out").explanations
    figure = one.figure()
    assert len(figure.axes) == 3
    assert one.verdict.text[:20] in figure.get_suptitle()


def test_command_prints_verdicts_and_numbers(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(sorted(photos.glob("*.png"))[0])
    assert run(["explain", str(model), image, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert re.search(r"%\. (This map can be trusted|Take this map|Do not trust)", capsys.readouterr().out)
    assert run(["explain", str(model), image, "--pixel", "conv2,1,4,4"]) == 0
    assert "sum of 72 products" in capsys.readouterr().out


def test_nothing_readable_is_an_error(model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 1 images could be read.*not a JPEG"):
        striate.explain(model, photos / "broken.jpg", out=tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_a_refusal_leaves_no_folder_and_takes_none_away(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for out in (None, "new/out", "mine"):
        with pytest.raises(UserError, match="something else happens"):
            striate.explain(model, photos, method="cam", layer="relu1", out=out)
    assert (tmp_path / "mine").is_dir()
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "runs").exists()


def test_folders_are_called_after_the_run_or_the_folder_of_the_model(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, "runs/leaves/model")
    Path("runs/leaves/run.json").write_text("{}")
    shutil.copytree(model, "exports/rust")
    for place, name in (("runs/leaves", "leaves"), ("runs/leaves/model", "leaves"), ("exports/rust", "rust")):
        shown = striate.explain(place, photos, trust=False)
        assert shown.folder.name.startswith(f"{name}-explain")
        assert striate.show_kernels(place).folder.name.startswith(f"{name}-kernels")
    assert name_of("lite0", "lite0") == "lite0"


def test_pictures_are_not_written_among_the_images(model: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="would be counted among the images"):
        striate.explain(model, photos, out=photos / "maps")


def test_images_or_errors_but_not_both(model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not both"):
        striate.explain(model, photos, errors=3)
    with pytest.raises(UserError, match="not in a run with predictions"):
        striate.explain(model, errors=3, out=tmp_path / "out")


def test_score_cam_says_what_it_costs(model: Path, photos: Path, tmp_path: Path) -> None:
    said: list[str] = []

    class Hears(Listener):
        def message(self, text: str) -> None:
            said.append(text)

    striate.explain(model, photos, method="score-cam", trust=False, out=tmp_path / "out", listener=Hears())
    assert "once for each of 16 channels" in said[0]

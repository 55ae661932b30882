"""Tables and figures that lie beside the report."""

import numpy as np
import pytest

import striate
from striate import schemas
from striate.runs import Run

pytestmark = pytest.mark.usefixtures("with_figures")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("exports")
    return striate.train(
        "digits", fraction=0.15, model="two-digit", classes=["0", "1"], epochs=1, out=folder / "run"
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_tables_hold_what_the_metrics_say(run, split) -> None:
    entry = run.metrics()[split]
    per_class = schemas.read_table(run.per_class_file(split))
    assert list(per_class["roc_auc"].astype(float)) == [row["roc_auc"]["value"] for row in entry["per_class"]]
    bins = schemas.read_table(run.calibration_file(split))
    assert bins["samples"].astype(int).sum() == entry["samples"]
    points = schemas.read_table(run.thresholds_file(split))
    assert len(points) == len(entry["operating_points"])
    assert len(schemas.read_table(run.confused_pairs_file(split))) == len(entry["confused_pairs"])
    curves = schemas.read_table(run.curves_file(split)).query("curve == 'roc' and `class` == '1'")
    area = np.trapezoid(curves["y"].astype(float), curves["x"].astype(float))
    assert area == pytest.approx(entry["roc_auc"]["macro"]["value"], abs=0.003)


def test_figures_are_png_and_svg(run) -> None:
    names = {path.stem for path in run.figures.iterdir()}
    of_split = (
        "confusion",
        "confusion-rows",
        "recall",
        "calibration",
        "roc",
        "precision-recall",
        "thresholds",
    )
    expected = {f"{name}-{split}" for name in of_split for split in ("val", "test")}
    assert names == expected | {"class-balance", "learning-curves"}
    for name in names:
        assert (run.figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (run.figures / f"{name}.svg").read_bytes()[:600]


def test_nobody_has_to_have_figures_and_they_are_drawn_later(write_stripes, tmp_path) -> None:
    stripes = write_stripes(tmp_path / "stripes", {"across": 8, "down": 8})
    settings = {"model": "mlp", "epochs": 1, "engine": "numpy", "audit": False, "figures": False}
    run = striate.train(stripes, out=tmp_path / "run", **settings)
    assert run.report.is_file()
    assert not run.figures.exists()
    assert "figures/" not in run.report.read_text()
    striate.evaluate(run.folder)
    assert {path.suffix for path in run.figures.iterdir()} == {".png", ".svg"}

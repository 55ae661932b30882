"""The section "Inside the network" in a run's report: where it is, and that it says what the run says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate import bundle
from striate.inference import load
from striate.workflows import inside

MOST_BYTES = 1_500_000  # that the section adds to a report


def section_of(report: Path) -> dict | None:
    """What the section's script reads."""
    page = report.read_text(encoding="utf-8")
    found = re.search(r'<script[^>]* id="inside-data">(.*?)</script>', page, re.DOTALL)
    return None if found is None else json.loads(found[1])


def write_photos(root: Path, count: int) -> Path:
    """Two class folders of JPEGs so large that they are decoded at a part of their size."""
    generator = np.random.default_rng(0)
    for name, level in (("dark", 110), ("light", 140)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            coarse = np.clip(generator.normal(level, 60, (30, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(coarse).resize((800, 600)).save(root / name / f"{number}.jpg")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with photos and a run on them; to be copied, not changed."""
    root = tmp_path_factory.mktemp("inside")
    write_photos(root / "photos", 24)
    options = {"model": "simple-cnn", "image_size": 24, "epochs": 1, "batch_size": 8, "permute_pixels": 2}
    striate.train(root / "photos", **options, out=root / "run")
    return root


def test_images_are_the_networks_input_to_the_bit(run):
    section = section_of(run.report)
    classifier = load(run.model, engine="numpy")
    predictions = run.predictions("test")
    shape = classifier.preprocess.input_shape
    images = [
        np.frombuffer(b64decode(one["pixels"]), np.uint8).reshape(shape)
        for one in section["network"]["pictures"]
    ]
    rows = [predictions.images.index(one["path"]) for one in section["answers"]]
    logits = classifier.runtime.forward(classifier.preprocess.normalize(np.stack(images)))
    np.testing.assert_allclose(logits, predictions.logits[rows], rtol=1e-4, atol=1e-4)
    assert section["network"]["permuted"]
    assert section["network"]["temperature"] == run.temperature()


def test_report_and_page_agree_in_a_browser(run, open_page):
    page = open_page(run.report)
    choices = page.locator(".inside-choice")
    assert choices.count() == len(section_of(run.report)["answers"]) > 0
    for choice in choices.all():
        choice.click()
        assert page.inner_text("#inside-agreement") == "The page computes what the report says."


def test_an_evaluation_has_the_section_too_and_old_runs_get_it_without_torch(run, tmp_path, monkeypatch):
    before = section_of(run.report)
    code = (
        f"import sys, striate; striate.evaluate({str(run.folder)!r}); "
        "sys.exit(bool({'torch', 'torchvision', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert section_of(run.report) == before
    shutil.copytree(tmp_path / "photos", tmp_path / "others")
    evaluated = striate.evaluate(run.folder, tmp_path / "others", out=tmp_path / "evaluation")
    assert section_of(evaluated.report)["network"]["nodes"] == before["network"]["nodes"]


def test_images_or_a_model_that_are_gone_leave_the_section_out(run, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    striate.evaluate(run.folder)
    assert section_of(run.report) is None
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    shutil.rmtree(run.model)
    striate.evaluate(run.folder)
    assert section_of(run.report) is None


def test_large_networks_are_not_even_looked_into(run, monkeypatch):
    facts = run.facts()
    facts["network"]["parameters"] = inside.MOST_PARAMETERS + 1
    run.write_facts(facts)

    def refuse(path):
        raise AssertionError("the bundle of a large network was read")

    monkeypatch.setattr(bundle, "read_record", refuse)
    striate.evaluate(run.folder)
    assert section_of(run.report) is None


def test_the_section_adds_less_than_said(tmp_path):
    run = striate.train("digits", fraction=0.05, model="mynet", epochs=1, out=tmp_path / "run")
    with_it = run.report.stat().st_size
    text = run.report.read_text(encoding="utf-8")
    assert section_of(run.report)["network"]["classes"] == [str(digit) for digit in range(10)]
    part = re.search(r'<section aria-labelledby="inside".*?</section>', text, re.DOTALL)[0]
    assert 0 < len(part.encode()) < min(MOST_BYTES, with_it)

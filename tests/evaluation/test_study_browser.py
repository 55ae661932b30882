"""The pages of comparisons and of robustness in a browser: clicked, narrow, dark, and for everybody to use.

Needs Chromium on the path; without it these tests are skipped, or fail where STRIATE_REQUIRE_BROWSER is set.
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from striate.evaluation.study import (
    Entry,
    compare_entries,
    disagreements,
    gather,
    page,
    robustness,
    robustness_page,
)
from striate.evaluation.study.robustness import Course
from striate.schemas import Predictions

CLASSES = ("cat", "dog", "<b>owl</b>")


def predictions(skill, seed):
    generator = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    given = np.where(generator.random(90) < skill, labels, (labels + 1) % 3)
    logits = np.eye(3, dtype=np.float32)[given] * 4
    return Predictions(tuple(f"test/{number}.png" for number in range(90)), labels, logits, CLASSES)


def history():
    rows = {"epoch": [1, 2], "lr": [0.1, 0.1], "train_loss": [1.0, 0.5], "val_loss": [1.1, 0.7]}
    return pd.DataFrame(rows | {"train_accuracy": [0.5, 0.8], "val_accuracy": [0.4, 0.7], "best": [1.0, 1.0]})


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def comparison():
    answers = gather(
        [
            (f"{name}{seed}", predictions(skill, seed))
            for name, skill in (("a", 0.6), ("b", 0.9))
            for seed in (1, 2)
        ],
        "test images",
    )
    entries = [
        Entry(name, (f"{name}1", f"{name}2"), (1, 2), histories=(history(), history()))
        for name in ("base", "with a rather long name")
    ]
    result = compare_entries(entries, {"test": answers}, with_first=True, looks={"test": 30})
    gallery = disagreements.choose(result, answers, lambda paths: [picture()] * len(paths))
    return result, gallery, page.render(result, entries, gallery, {})


@pytest.fixture(scope="module")
def robust():
    hard = np.random.default_rng(0).random(200)
    rates = [[0.9, 0.7, 0.5], [0.8, 0.75, 0.7]]
    answers = np.array([[hard < rate for rate in model] for model in rates])
    result = robustness.describe(["cnn", "mlp"], [Course("blur", "pixels", (0.0, 1.0, 2.0), 0.0, answers)])
    return robustness_page.render(result, {"blur": [picture()] * 3}, "photos")


def test_a_click_on_a_disagreement_shows_its_images(open_page, comparison):
    result, gallery, html = comparison
    shown = open_page(html)
    (row,) = result["comparisons"]
    shown.get_by_role("button", name=f"{row['counts']['only_first']} (show)").click()
    region = shown.get_by_role("region", name="Images on which they disagree")
    cards = region.locator(".card")
    assert cards.count() == len(gallery["pairs"][0]["only_first"]) > 0
    assert cards.first.locator("img").is_visible()
    assert " of 2)" in cards.first.inner_text()
    assert region.locator("li.right").count() == region.locator("li.wrong").count() == cards.count()
    region.get_by_role("button", name="Close").click()
    assert not region.is_visible()
    assert shown.evaluate("document.activeElement.textContent").endswith("(show)")
    assert shown.locator("svg.chart").count() == 2
    assert shown.locator("svg.map").count() == 3


SQUARED = {"network": {"output": "probability"}}
LOGIT = {"network": {"output": "logit"}}
BCE = {"network": {"output": "probability"}, "loss": "bce"}


@pytest.mark.parametrize(("base", "drawn"), [(SQUARED, 1), (LOGIT, 2), (BCE, 2)])
def test_losses_of_different_kinds_share_no_axis(comparison, base, drawn):
    result, gallery, _ = comparison
    runs = [entry["runs"] for entry in result["entries"]]
    entries = [
        Entry("base", tuple(runs[0]), histories=(history(),), **base),
        Entry("other", tuple(runs[1]), histories=(history(),), network={"output": "logits"}),
    ]
    html = page.render(result, entries, gallery, {})
    assert html.count('class="chart"') == drawn
    assert ("Losses are not drawn" in html) == (drawn == 1)


@pytest.mark.parametrize(
    ("count", "text"), [(1, "1 set of answers has"), (30, "30 different sets of answers have")]
)
def test_looks_count_answers_and_not_models(comparison, count, text):
    result, gallery, _ = comparison
    entries = [Entry(entry["name"], tuple(entry["runs"])) for entry in result["entries"]]
    sets = [result["sets"][0] | {"looks": count}]
    html = page.render(result | {"sets": sets}, entries, gallery, {})
    assert f"<b>{text} been scored on the test images</b>" in html


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, comparison, robust, scheme):
    for html in (comparison[2], robust):
        results = Axe().run(open_page(html, color_scheme=scheme))
        serious = [
            found for found in results.response["violations"] if found["impact"] in ("serious", "critical")
        ]
        assert [(found["id"], found["nodes"][0]["html"][:120]) for found in serious] == []


def test_narrow_pages_do_not_scroll_sideways(open_page, comparison, robust):
    for html in (comparison[2], robust):
        assert open_page(html, width=360).evaluate("document.documentElement.scrollWidth") == 360

"""The audit's page in a browser: images are marked, and the marks saved; names cannot break out of it.

Needs Chromium on the path; without it these tests are skipped, or fail where STRIATE_REQUIRE_BROWSER is set.
"""

from __future__ import annotations

import csv

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from striate.audit import Findings, LabelDoubt, Outlier, find_duplicates, find_shortcuts, render

NAUGHTY = "<script>alert(1)</script>"
FORMULA = "=cmd"


@pytest.fixture
def findings(tiles, gather) -> Findings:
    images = gather(
        {
            f'train/{NAUGHTY}/a,"b".png': tiles[0],
            f"test/{NAUGHTY}/copy.png": tiles[0],
            f"train/{FORMULA}/other.png": tiles[1],
            f"train/{FORMULA}/alone.png": tiles[2],
        }
    )
    other = images.paths.index(f"train/{FORMULA}/other.png")
    alone = images.paths.index(f"train/{FORMULA}/alone.png")
    return Findings(
        images,
        find_duplicates(images),
        find_shortcuts(images),
        doubts=(LabelDoubt(other, NAUGHTY, 0.02),),
        outliers=(Outlier(alone, 4.2),),
    )


@pytest.fixture
def page(open_page, findings) -> Page:
    return open_page(render(findings), accept_downloads=True)


def card(page: Page, name: str):
    return page.locator(".card").filter(has_text=name).first


def saved(page: Page) -> list[list[str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save marks").click()
    assert download.value.suggested_filename == "set-marks.csv"
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_marks_are_saved_as_a_table(page):
    card(page, "copy.png").get_by_role("button", name="keep").click()
    card(page, 'a,"b".png').get_by_role("button", name="drop").click()
    card(page, "other.png").get_by_role("button", name="relabel").click()
    assert saved(page) == [
        ["image", "action", "label"],
        [f"test/{NAUGHTY}/copy.png", "keep", ""],
        [f'train/{NAUGHTY}/a,"b".png', "drop", ""],
        [f"train/{FORMULA}/other.png", "relabel", NAUGHTY],
    ]


def test_a_new_class_is_chosen_by_the_keyboard_and_formulas_are_guarded(page):
    found = card(page, 'a,"b".png')
    found.get_by_role("button", name="relabel").focus()
    page.keyboard.press("Enter")
    assert found.get_by_role("combobox").input_value() == FORMULA
    assert saved(page)[1] == [f'train/{NAUGHTY}/a,"b".png', "relabel", f"'{FORMULA}"]


def test_all_copies_but_one_are_dropped_at_once_and_marks_are_taken_away(page):
    page.get_by_role("button", name="Drop all copies but one").click()
    assert page.locator(".tools p").inner_text() == "1 drop"
    assert saved(page)[1:] == [[f'train/{NAUGHTY}/a,"b".png', "drop", ""]]
    page.get_by_role("button", name="Clear").click()
    assert page.get_by_role("button", name="Save marks").is_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_page_fits_its_window_and_everybody_can_use_it(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_an_audit_that_finds_nothing_says_so(tiles, gather):
    images = gather({"train/a/1.png": tiles[0], "train/b/2.png": tiles[1]})
    html = render(Findings(images, find_duplicates(images), find_shortcuts(images)))
    assert "Nothing was found." in html
    assert "http" not in html.replace("http-equiv", "")

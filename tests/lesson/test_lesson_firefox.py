"""The same pages in Firefox: every screen, drawn on, typed into and stepped, against the engine's numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from striate import bundle
from striate.architectures import Spec
from striate.architectures.to_engine import to_engine
from striate.engine import functional as F

SCREENS = 6
MINUS = "\N{MINUS SIGN}"
ROUNDED = 0.0051  # of numbers shown with two decimals
RIGHT, DOWN = "\ue014", "\ue015"  # WebDriver's names of the arrow keys


@pytest.fixture
def lesson_page(firefox, own_page):
    """Open the lesson at a state; afterwards nothing may have been complained of."""

    def open_at(state: str):
        firefox.open(own_page, f"#screen={state}")
        return firefox

    yield open_at
    assert firefox.complaints() == []


def number(text: str) -> float:
    return float(text.replace(MINUS, "-").lstrip("= "))


def test_every_screen_opens_fits_and_is_drawn(lesson_page):
    page = lesson_page("convolution")
    assert page.run("return document.querySelectorAll('#tabs a').length") == SCREENS
    for place in range(1, SCREENS + 1):
        page.click(f"#tabs li:nth-child({place}) a")
        page.wait_for("return document.querySelectorAll('main section:not([hidden])').length === 1")
        drawn = "[...document.querySelectorAll('section:not([hidden]) canvas')].some((one) => one.width)"
        assert page.run(f"return {drawn}")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_pixel_drawn_and_a_weight_typed_are_in_every_product(lesson_page):
    page = lesson_page("convolution&picture=seven&side=6&kernel=sobel-x")
    page.click("#conv-draw")
    page.press("#conv-input", RIGHT + DOWN + "4")
    page.click("#conv-draw")
    page.run("document.querySelector('#conv-products tr:nth-child(2) input').value = ''")
    page.press("#conv-products tr:nth-child(2) input", "-3/4")
    seen = []
    for _ in range(8):
        before = page.text("#conv-sum-of")
        page.click("#conv-next")
        page.wait_for(f"return document.querySelector('#conv-sum-of').innerText !== {before!r}")
        cells = page.run(
            """return [...document.querySelectorAll("#conv-products td")].map((td) =>
                 [td.children[0].textContent, td.children[2].value, td.children[3].textContent])"""
        )
        pixels, weights, products = np.array([[number(text) for text in cell] for cell in cells]).T
        assert weights[3] == -0.75
        np.testing.assert_allclose(products, pixels * weights, atol=ROUNDED)
        assert number(page.text("#conv-sum")) == pytest.approx(float(pixels @ weights), abs=ROUNDED)
        seen += pixels.tolist()
    assert 0.4 in seen


def test_the_answer_to_a_shifted_picture_is_the_engines(lesson_page, model, image, weights):
    page = lesson_page("network")
    page.click('[data-shift="0,1"]')
    pixels = np.asarray(Image.open(image), np.float32) / 255
    shifted = np.zeros_like(pixels)
    shifted[:, 1:] = pixels[:, :-1]
    network = to_engine(Spec.from_dict(bundle.read_record(model).spec), (1, *pixels.shape), 3, weights)
    network.eval()
    logits = network.forward((shifted[None, None] - np.float32(0.3)) / np.float32(0.4))
    expected = F.softmax(logits / 1.5, 1)[0]

    def shown() -> list[float]:
        texts = page.run(
            "return [...document.querySelectorAll('#net-bars .bar b')].map((one) => one.innerText)"
        )
        return [float(re.sub("[^0-9.]", "", text)) / 100 for text in texts]

    page.wait_for("return location.hash.includes('shift')")
    np.testing.assert_allclose(shown(), expected, atol=6e-4)


def test_a_number_leads_back_to_the_pixels(lesson_page):
    page = lesson_page("network&layer=linear1&map=1")
    for _ in range(30):
        if page.text("#net-kind") == "Picture":
            break
        before = page.text("#net-place")
        page.click("#net-terms button:is(.link:enabled, .term:not([aria-pressed]))")
        page.wait_for(f"return document.querySelector('#net-place').innerText !== {before!r}")
    assert page.text("#net-kind") == "Picture"


def test_a_net_learns_step_by_step_and_while_it_plays(lesson_page):
    page = lesson_page("live")
    page.click("#live-next")
    page.wait_for("return document.querySelector('#live-step').innerText === '1'")
    page.click("#live-play")
    page.wait_for("return Number(document.querySelector('#live-step').innerText) > 20")
    page.click("#live-play")
    page.wait_for("return /step=[1-9]/.test(location.hash)")
    assert number(page.text("#live-loss")) > 0

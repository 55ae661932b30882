"""A network within a report: every number and map shown there against the engine's."""

from __future__ import annotations

import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from striate import bundle
from striate.architectures import Spec
from striate.engine import functional as F
from striate.evaluation import ReportContext, compute_metrics, gallery, render_report
from striate.explain import activations
from striate.inference import load
from striate.lesson.inside import MAX_SIDE, Shown, fits_inside, render_inside
from striate.schemas import Predictions

IMAGES = 24
TEMPERATURE = 1.5  # of the bundle
MINUS = "\N{MINUS SIGN}"
ROUNDED = 0.0051  # of numbers shown with two decimals
PIXELS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, Array.from(data.filter((_, i) => i % 4 === 0))];
}"""


@pytest.fixture(scope="module")
def classifier(model):
    return load(model, engine="numpy")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (IMAGES, 1, 12, 12), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictions(classifier, pixels) -> Predictions:
    logits = TEMPERATURE * classifier.predict_logits(list(pixels[:, 0]))
    labels = np.random.default_rng(6).integers(0, 3, IMAGES)
    names = tuple(f"test/<i>{number}.png" for number in range(IMAGES))
    return Predictions(names, labels, logits, classifier.class_names)


@pytest.fixture(scope="module")
def section(model, predictions, pixels):
    """The section of the first eight images of the report's gallery."""
    record, weights = bundle.read(model)
    rows = gallery.choose(predictions.at_temperature(record.temperature))["images"][:8]
    shown = [
        Shown(path, pixels[predictions.images.index(path)], true, [tuple(pair) for pair in top])
        for path, true, _, top, _ in rows
    ]
    return render_inside(Spec.from_dict(record.spec), record, weights, shown, "runs/<b>x")


@pytest.fixture(scope="module")
def report(predictions, section) -> str:
    calibrated = predictions.at_temperature(TEMPERATURE)
    return render_report(
        ReportContext(
            title="stripes",
            metrics={"test": compute_metrics(calibrated, resamples=50)},
            data_name="stripes",
            gallery=gallery.choose(calibrated, split="test"),
            inside=section,
        )
    )


def number(text: str) -> float:
    return float(text.replace(MINUS, "-"))


def share(text: str) -> float:
    return float(re.sub("[^0-9.]", "", text)) / 100


def chosen(page) -> str:
    return page.locator('.inside-choice[aria-pressed="true"]').get_attribute("title")


def test_answers_are_those_of_the_engine_and_of_the_report(open_page, report, predictions):
    page = open_page(report)
    assert page.locator(".inside-choice").count() == 8
    for button in page.locator(".inside-choice").all():
        button.click()
        row = predictions.images.index(chosen(page))
        logits = predictions.logits[row]
        cells = [line.locator("td").all_inner_texts() for line in page.locator("#inside-rows tr").all()]
        np.testing.assert_allclose([number(line[0]) for line in cells], logits, atol=ROUNDED)
        expected = F.softmax(logits[None] / TEMPERATURE, 1)[0]
        np.testing.assert_allclose([share(line[1]) for line in cells], expected, atol=6e-4)
        assert [line[1] for line in cells] == [line[2] for line in cells]
        assert page.inner_text("#inside-agreement") == "The page computes what the report says."
        names = page.locator("#inside-rows .name").all_inner_texts()
        assert names == list(predictions.class_names)
        best = page.locator("#inside-rows tr.best .name").inner_text()
        assert best == predictions.class_names[logits.argmax()]
        assert best in page.inner_text("#inside-truth")


def test_firefox_computes_the_same(firefox, report, predictions, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(report, encoding="utf-8")
    firefox.open(path)
    firefox.click(".inside-choice:nth-child(2)")
    chosen_path = firefox.run("return document.querySelector('.inside-choice[aria-pressed=true]').title")
    row = predictions.images.index(chosen_path)
    found = (
        "return [...document.querySelectorAll('#inside-rows td:nth-child(2)')].map((one) => one.innerText)"
    )
    logits = [number(text) for text in firefox.run(found)]
    np.testing.assert_allclose(logits, predictions.logits[row], atol=ROUNDED)
    assert firefox.text("#inside-agreement") == "The page computes what the report says."
    assert firefox.complaints() == []


def test_maps_of_every_layer_are_the_engines(open_page, report, classifier, predictions, pixels):
    page = open_page(report)
    page.locator(".inside-choice").nth(3).click()
    row = predictions.images.index(chosen(page))
    layers = page.locator(".inside-layer").all()
    assert len(layers) == 14  # all but the flatten and the dropout
    for layer in layers:
        path = layer.locator("b").inner_text()
        name = re.sub(r"\.(add|concatenate)$", "", path)  # the end of a block is what the block puts out
        (seen,) = activations(classifier, pixels[row : row + 1], name, ["one"]).values()
        values = np.asarray(seen.values)[0]
        low, high = min(0, values.min()), max(0, values.max())
        said = re.search("from (.*) to (.*)$", layer.locator("span").inner_text())
        np.testing.assert_allclose([number(said[1]), number(said[2])], [low, high], atol=ROUNDED)
        height, width, grey = layer.locator("canvas").evaluate(PIXELS)
        picture = np.array(grey).reshape(height, width)
        expected = 255 * (values - low) / (high - low)
        np.testing.assert_allclose(tiles(picture, values.shape), expected, atol=1, err_msg=path)


def tiles(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The maps on a canvas, each a pixel from the next; of single numbers, the canvas in order."""
    if len(shape) == 1 or shape[1:] == (1, 1):
        return picture.ravel()[: shape[0]].reshape(shape)
    count, height, width = shape
    columns = (picture.shape[1] + 1) // (width + 1)
    found = np.empty(shape)
    for place in range(count):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        found[place] = picture[top : top + height, left : left + width]
    return found


def test_an_image_of_the_reports_list_opens_inside(open_page, report):
    page = open_page(report)
    cards = page.locator(".card:has(.file)").filter(has=page.get_by_role("button", name="Inside the network"))
    card = cards.nth(2)
    path = card.locator(".file").get_attribute("title")
    card.get_by_role("button", name="Inside the network").first.click()
    assert chosen(page) == path
    assert page.evaluate("document.activeElement.id") == "inside"


def test_more_maps_than_fit_in_a_line_unfold(open_page, report):
    page = open_page(report, width=360)
    layer = page.locator(".inside-layer", has=page.get_by_role("button")).first
    height = "(canvas) => canvas.height"
    folded = layer.locator("canvas").evaluate(height)
    button = layer.get_by_role("button")
    assert button.inner_text() == "all 6"
    button.click()
    assert layer.locator("canvas").evaluate(height) > folded
    assert button.inner_text() == "fewer"


def test_a_report_that_says_something_else_is_told_apart(open_page, model, pixels):
    record, weights = bundle.read(model)
    wrong = Shown("a.png", pixels[0], 0, [(0, 0.9), (1, 0.05), (2, 0.05)])
    found = render_inside(Spec.from_dict(record.spec), record, weights, [wrong], "x")
    entry = compute_metrics(
        Predictions(("a.png",), np.zeros(1, np.int64), np.eye(3, dtype=np.float32)[:1], record.class_names)
    )
    page = open_page(render_report(ReportContext("t", {"test": entry}, "d", inside=found)))
    assert "other probabilities than the report says" in page.inner_text("#inside-agreement")


@pytest.mark.parametrize(("theme", "width"), [("light", 1600), ("dark", 360)])
def test_section_is_accessible_and_fits(open_page, report, theme, width):
    page = open_page(report, width=width, color_scheme=theme)
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_a_sentence_says_so(open_page, report):
    page = open_page(report, java_script_enabled=False)
    assert "needs JavaScript" in page.inner_text(".inside noscript")
    assert not page.locator("#inside-page").is_visible()


def test_names_are_texts_and_never_markup(report):
    assert "runs/&lt;b&gt;x" in report
    assert "<b>owl</b>" not in report


def test_reports_without_a_section_have_nothing_of_it(predictions):
    entry = compute_metrics(predictions, resamples=50)
    page = render_report(ReportContext("t", {"test": entry}, "d"))
    assert "inside-" not in page
    assert 'id="inside"' not in page


def test_only_small_networks_of_small_images_fit(model):
    record = bundle.read_record(model)
    head = ["flatten", {"linear": {"out_features": "num_classes"}}]
    assert fits_inside(Spec.from_dict({"layers": head}), record)
    wide = [{"conv2d": {"out_channels": 30_000, "kernel_size": 3}}, "adaptive_avg_pool2d", *head]
    assert not fits_inside(Spec.from_dict({"layers": wide}), record)
    preprocess = record.preprocess.model_copy(update={"height": MAX_SIDE + 1})
    larger = record.model_copy(update={"preprocess": preprocess})
    assert not fits_inside(Spec.from_dict({"layers": ["adaptive_avg_pool2d", *head]}), larger)

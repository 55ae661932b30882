"""The report in a browser: clicked, typed into, printed, and checked for what everybody can use.

Needs Chromium on the path; without it these tests are skipped, or fail where STRIATE_REQUIRE_BROWSER is set.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page
from sklearn import metrics

from striate.evaluation import Command, ReportContext, compute_metrics, gallery, render_report
from striate.evaluation.curves import curves_table
from striate.schemas import Predictions

Open = Callable[..., Page]
NAMES = ("cat", "dog", "hen", "<b>owl</b>")
ROWS = "#class-table tbody tr"


def picture(path: str) -> bytes:
    """A PNG that no other path has: its number in its colour."""
    number = int("".join(filter(str.isdigit, path)))
    image = Image.new("RGB", (8, 8), (number % 256, number // 256, 99))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pictures(paths: Sequence[str]) -> list[bytes]:
    return [picture(path) for path in paths]


def render(predictions: Predictions, thumbnails=pictures, **more: object) -> str:
    entry = compute_metrics(predictions, resamples=50)
    names = predictions.class_names
    values = {
        "title": "leaves-mynet",
        "metrics": {"test": entry},
        "data_name": "leaves",
        "counts": {"train": [30 + index for index in range(len(names))], "test": [9] * len(names)},
        "gallery": gallery.choose(predictions, thumbnails, split="test"),
        "curves": curves_table(predictions, entry),
        "config": {"lr": 0.1, "model_options": {"hidden": 10}},
        "environment": {"python": "3.12"},
        "commands": (Command("Repeat this training", "striate train --config 'a b.yaml'\nsecond line"),),
        "files": {"history.csv": "loss and accuracy of each epoch"},
        "quarantined": 1,
        "quarantine": [("bad.png", "truncated")],
    }
    return render_report(ReportContext(**(values | more)))


@pytest.fixture(scope="module")
def four() -> Predictions:
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 4, 160)
    logits = generator.normal(0, 1.5, (160, 4)).astype(np.float32)
    logits[np.arange(160), labels] += 1.5
    return Predictions(tuple(f"test/{index}.png" for index in range(160)), labels, logits, NAMES)


@pytest.fixture(scope="module")
def report(four, make_history_once) -> str:
    return render(four, history=make_history_once)


@pytest.fixture(scope="module")
def make_history_once():
    import pandas as pd

    rows = [(epoch, 0.1, 2 / epoch, 1 - 0.5 / epoch, 1 / epoch, 0.9, epoch < 4) for epoch in range(1, 6)]
    columns = ["epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "best"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def many(make_predictions) -> Predictions:
    """34 classes, every two of which are taken for one another."""
    predictions = make_predictions(34, 680, strength=7.0)
    neighbours = predictions.labels ^ 1
    predictions.logits[np.arange(680), neighbours] += 6.0
    return predictions


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def shown(page: Page) -> list[dict[str, object]]:
    """What the panel shows of each image: path, thumbnail, and texts of the classes."""
    return [
        {
            "path": card.locator(".file").get_attribute("title"),
            "picture": card.locator("img").get_attribute("src"),
            "classes": card.locator(".top .name").all_inner_texts(),
            "shares": [in_percent(text) for text in card.locator(".top b").all_inner_texts()],
        }
        for card in page.locator("#panel .card").all()
    ]


def in_percent(text: str) -> float:
    """The number that a probability's text stands for; its ends stand for the middle of what they cover."""
    return {">99.9\u00a0%": 99.975, "<0.1\u00a0%": 0.025}.get(text) or float(text.removesuffix("\u00a0%"))


def expected(predictions: Predictions, true: int, named: int) -> list[dict[str, object]]:
    """The same, worked out from the logits: the most confident image first."""
    exponentials = np.exp(predictions.logits.astype(np.float64))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    cell = np.flatnonzero((predictions.labels == true) & (predictions.logits.argmax(axis=1) == named))
    rows = []
    for index in sorted(cell, key=lambda index: -probabilities[index, named]):
        top = np.argsort(-probabilities[index])[:3]
        path = predictions.images[index]
        rows.append(
            {
                "path": path,
                "picture": gallery.data_uri(picture(path)),
                "classes": [predictions.class_names[k] for k in top],
                "shares": pytest.approx(100 * probabilities[index, top], abs=0.0551),  # rounded twice
            }
        )
    return rows


# Cells and their images


def test_a_click_on_any_cell_shows_its_images_with_their_probabilities(open_page, report, four) -> None:
    page = open_page(report)
    counts = metrics.confusion_matrix(four.labels, four.logits.argmax(axis=1))
    for true, named in np.argwhere(counts):
        page.locator(f'td[data-t="{true}"][data-p="{named}"]').click()
        count = counts[true, named]
        verdict = "named correctly" if true == named else f"named {NAMES[named]}"
        images = "image" if count == 1 else "images"
        assert page.locator("#panel h3").inner_text() == f"{count} {images} of {NAMES[true]}, {verdict}"
        share = f"{percent(count / counts[true].sum())} of the {counts[true].sum()} images of this class."
        assert share in page.locator("#panel").inner_text()
        if page.locator("#panel .more").count():
            page.locator("#panel .more").click()
        everything = expected(four, true, named)
        found = shown(page)
        if true == named:  # only some of them are in the page
            everything = [row for row in everything if row["path"] in {image["path"] for image in found}]
        assert found == everything
        assert len(found) >= min(count, 20)


def test_escape_closes_the_panel_and_focus_returns_to_the_cell(open_page, report) -> None:
    page = open_page(report)
    cell = page.locator('td[data-t="1"][data-p="0"]')
    cell.click()
    assert page.locator("#panel").is_visible()
    page.locator("#panel .close").focus()
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    assert cell.evaluate("cell => cell === document.activeElement")


def test_the_matrix_is_used_with_the_keyboard_alone(open_page, report) -> None:
    page = open_page(report)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.grid td')"):
            break
    place = "[document.activeElement.dataset.t, document.activeElement.dataset.p]"
    assert page.evaluate(place) == ["0", "0"]
    for keys, (true, named) in (
        (["ArrowRight", "ArrowDown", "ArrowDown"], ("2", "1")),
        (["Home"], ("2", "0")),
        (["ArrowLeft", "ArrowUp", "End"], ("1", "3")),
        (["Control+Home"], ("0", "0")),
        (["Control+End", "ArrowDown", "ArrowRight", "ArrowLeft"], ("3", "2")),
    ):
        for key in keys:
            page.keyboard.press(key)
        assert page.evaluate(place) == [true, named]
    assert page.locator('.grid td[tabindex="0"]').count() == 1
    page.keyboard.press("Enter")
    assert "of <b>owl</b>, named hen" in page.locator("#panel h3").inner_text()
    assert "of <b>owl</b>, named hen" in page.locator("#spoken").inner_text()
    while not page.evaluate("document.activeElement.matches('#panel .close')"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert not page.locator("#panel").is_visible()
    assert page.evaluate(place) == ["3", "2"]


def test_cells_show_images_or_shares_of_the_row(open_page, report, four) -> None:
    page = open_page(report)
    cells = page.locator(".grid td[data-t]")
    counts = metrics.confusion_matrix(four.labels, four.logits.argmax(axis=1))
    assert cells.all_inner_texts() == [str(count or "") for count in counts.ravel()]
    page.get_by_role("button", name="% of the row").click()
    shares = metrics.confusion_matrix(four.labels, four.logits.argmax(axis=1), normalize="true")
    assert cells.all_inner_texts() == [f"{100 * share:.0f}" if share else "" for share in shares.ravel()]
    page.get_by_role("button", name="images", exact=True).click()
    assert cells.all_inner_texts() == [str(count or "") for count in counts.ravel()]


def test_images_that_are_gone_have_a_placeholder_and_a_note(open_page, four) -> None:
    page = open_page(render(four, thumbnails=lambda paths: [None] * len(paths)))
    assert "could not be read any more" in page.locator("#images").locator("..").inner_text()
    page.locator('td[data-t="0"][data-p="0"]').click()
    assert page.locator("#panel .placeholder").count() == page.locator("#panel .card").count() > 0
    assert page.locator("img").count() == 0


def test_without_images_a_cell_says_where_they_are_listed(open_page, four) -> None:
    page = open_page(render(four, gallery=None))
    page.locator('td[data-t="0"][data-p="0"]').click()
    assert "The images are listed in predictions-test.csv." in page.locator("#panel").inner_text()


def test_a_cell_of_which_only_some_images_are_shown_says_so(open_page, make_predictions) -> None:
    page = open_page(render(make_predictions(2, 200, strength=9)))
    page.locator('td[data-t="0"][data-p="0"]').click()
    assert re.search(r"This report holds \d+ of them; all are listed in", page.locator("#panel").inner_text())


# Tables


def column(page: Page, title: str) -> list[str]:
    """Names of the classes, in the order of the table sorted by a column."""
    page.locator("#class-table th button").filter(has_text=re.compile(rf"^{title}$")).click()
    return page.locator(f"{ROWS} .name").all_inner_texts()


def test_the_class_table_sorts_by_any_column(open_page, report, four) -> None:
    page = open_page(report)
    recall = metrics.recall_score(four.labels, four.logits.argmax(axis=1), average=None)
    precision = metrics.precision_score(four.labels, four.logits.argmax(axis=1), average=None)
    assert column(page, "recall") == [NAMES[k] for k in np.argsort(recall, kind="stable")]
    assert page.locator("#class-table th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert column(page, "recall")[0] == NAMES[recall.argmax()]
    assert page.locator("#class-table th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert column(page, "precision") == [NAMES[k] for k in np.argsort(precision, kind="stable")]
    assert column(page, "class") == ["<b>owl</b>", "cat", "dog", "hen"]
    assert page.locator("#class-table th[aria-sort]").count() == 1


def test_the_class_table_sorts_with_the_keyboard(open_page, report) -> None:
    page = open_page(report)
    page.locator("#class-table th button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(f"{ROWS} .name").first.inner_text() == "<b>owl</b>"
    page.keyboard.press("Space")
    assert page.locator(f"{ROWS} .name").first.inner_text() == "hen"
    assert "Sorted by class, descending" in page.locator("#spoken").inner_text()


def test_classes_without_a_value_stand_last_however_sorted(open_page) -> None:
    labels = np.array([0, 0, 1, 1, 1, 0] * 10)
    logits = np.eye(3, dtype=np.float32)[labels] * 3
    predictions = Predictions(tuple(map(str, range(60))), labels, logits, ("absent?", "here", "nowhere"))
    page = open_page(render(predictions))
    assert column(page, "recall")[-1] == "nowhere"
    assert column(page, "recall")[-1] == "nowhere"


def test_a_class_is_found_by_part_of_its_name(open_page, many) -> None:
    page = open_page(render(many))
    page.get_by_label("Find a class").fill("CLASS 1")
    names = page.locator(f"{ROWS}:visible .name").all_inner_texts()
    assert names == ["class 1", *(f"class {k}" for k in range(10, 20))]
    assert page.locator("#found-classes").inner_text() == "11 of 34 classes"
    page.get_by_label("Find a class").fill("")
    assert page.locator(f"{ROWS}:visible").count() == 34


# Many classes


def test_one_class_of_many_is_looked_up_by_name_and_in_the_picture(open_page, many) -> None:
    page = open_page(render(many))
    counts = metrics.confusion_matrix(many.labels, many.logits.argmax(axis=1))
    page.get_by_label("Look up a class").fill("class 17")
    lists = page.locator("#one-class-shown .taken")
    named = [f"class {k} {counts[17, k]}" for k in np.argsort(-counts[17], kind="stable") if counts[17, k]]
    others = counts[:, 17] * (np.arange(34) != 17)
    taken = [f"class {k} {others[k]}" for k in np.argsort(-others, kind="stable") if others[k]]
    for shown_list, cells in zip(lists.all(), (named, taken), strict=True):
        texts = [" ".join(text.split()) for text in shown_list.locator("li").all_inner_texts()]
        assert [re.sub(r" images?$", "", text) for text in texts] == cells
    lists.first.get_by_role("button").nth(1).click()
    assert (
        f"images of class 17, named class {np.argsort(-counts[17], kind='stable')[1]}"
        in page.locator("#panel h3").inner_text()
    )
    page.keyboard.press("Escape")
    page.locator(".overview").click(position={"x": 4, "y": 4})
    assert page.locator("#one-class-shown h3").inner_text() in ("class 0", "class 1")
    assert page.locator(".overview .chosen").count() == 2


def test_a_look_up_of_no_class_says_so(open_page, many) -> None:
    page = open_page(render(many))
    page.get_by_label("Look up a class").fill("zebra")
    page.keyboard.press("Enter")
    assert page.locator("#one-class-shown").inner_text() == "No class has this name."


def test_groups_of_confused_classes_are_clicked_like_one_matrix(open_page, many) -> None:
    page = open_page(render(many))
    counts = metrics.confusion_matrix(many.labels, many.logits.argmax(axis=1))
    grids = page.locator(".grid")
    assert 2 <= grids.count() <= 24
    true = int(grids.first.locator("td[data-t]").first.get_attribute("data-t"))
    named = true ^ 1
    cell = grids.first.locator(f'td[data-t="{true}"][data-p="{named}"]')
    cell.click()
    assert (
        f"{counts[true, named]} images of class {true}, named class {named}"
        in page.locator("#panel h3").inner_text()
    )
    rest = int(grids.first.locator(f'tr:has(td[data-t="{true}"]) td.out').inner_text() or 0)
    inside = {
        int(cell.get_attribute("data-p")) for cell in grids.first.locator("tr:nth-child(1) td[data-p]").all()
    }
    assert {true, named} <= inside
    assert rest == sum(counts[true, k] for k in range(34) if k not in inside)


def test_counts_of_confused_pairs_open_their_images(open_page, report, four) -> None:
    page = open_page(report)
    counts = metrics.confusion_matrix(four.labels, four.logits.argmax(axis=1))
    link = page.locator("[data-open] button").first
    true, named = map(int, page.locator("[data-open]").first.get_attribute("data-open").split(","))
    assert int(link.inner_text()) == counts[true, named]
    link.click()
    assert shown(page) == expected(four, true, named)[:12]


# Numbers


def test_every_score_equals_that_of_scikit_learn(open_page, report, four) -> None:
    page = open_page(report)
    labels, predicted, probabilities = four.labels, four.logits.argmax(axis=1), four.probabilities
    one_hot = np.eye(4)[labels]
    ovr = {"multi_class": "ovr", "average": "macro"}
    scores = {
        "accuracy": percent(metrics.accuracy_score(labels, predicted)),
        "balanced accuracy": percent(metrics.balanced_accuracy_score(labels, predicted)),
        "right within the first 2": percent(metrics.top_k_accuracy_score(labels, probabilities, k=2)),
        "right within the first 3": percent(metrics.top_k_accuracy_score(labels, probabilities, k=3)),
        "macro precision": percent(metrics.precision_score(labels, predicted, average="macro")),
        "weighted precision": percent(metrics.precision_score(labels, predicted, average="weighted")),
        "macro F1": percent(metrics.f1_score(labels, predicted, average="macro")),
        "weighted F1": percent(metrics.f1_score(labels, predicted, average="weighted")),
        "log loss": f"{metrics.log_loss(labels, probabilities):.4g}",
        "Brier score": f"{((probabilities - one_hot) ** 2).sum(axis=1).mean():.4g}",
        "calibration error": percent(calibration_error(labels, probabilities)),
        "ROC area": f"{metrics.roc_auc_score(labels, probabilities, **ovr):.4f}",
        "average precision": f"{metrics.average_precision_score(one_hot, probabilities):.4f}",
    }
    found = {
        row.locator("th").inner_text().split("\n")[0]: row.locator("td b").inner_text()
        for row in page.locator(".scores tbody tr").all()
        if row.locator("td b").count()
    }
    assert found == scores
    sentence = page.locator("h1").inner_text()
    assert sentence.startswith(f"{round(100 * metrics.accuracy_score(labels, predicted))} of 100 ")


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """A naive loop over 15 bins; each holds its upper edge."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    error = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_every_class_row_equals_scikit_learn(open_page, report, four) -> None:
    page = open_page(report)
    labels, predicted, probabilities = four.labels, four.logits.argmax(axis=1), four.probabilities
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, predicted)
    for k, row in enumerate(page.locator(ROWS).all()):
        area = metrics.roc_auc_score(labels == k, probabilities[:, k])
        average = metrics.average_precision_score(labels == k, probabilities[:, k])
        assert row.locator(".name").inner_text() == NAMES[k]
        assert row.locator("td.n").nth(0).inner_text() == str(30 + k)
        assert row.locator("td.n").nth(1).inner_text() == str(support[k])
        assert row.locator("td b").all_inner_texts() == [
            percent(recall[k]),
            percent(precision[k]),
            percent(f1[k]),
            f"{area:.4f}",
            f"{average:.4f}",
        ]


def test_the_worst_and_the_least_certain_images_are_shown(open_page, report, four) -> None:
    page = open_page(report)
    probabilities = four.probabilities
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != four.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")]
    two = np.sort(probabilities, axis=1)
    least = np.argsort(two[:, -1] - two[:, -2], kind="stable")
    lists = page.locator("section:has(#images) > ul.cards").all()
    for cards, images in zip(lists, (worst, least), strict=True):
        paths = [card.get_attribute("title") for card in cards.locator(".file").all()]
        assert paths == [four.images[index] for index in images[:12]]
        sources = [image.get_attribute("src") for image in cards.locator("img").all()]
        assert sources == [gallery.data_uri(picture(path)) for path in paths]
        first = cards.locator(".card").first
        assert first.locator(".is .name").inner_text() == NAMES[four.labels[images[0]]]
        assert first.locator(".top b").first.inner_text() == percent(confidence[images[0]].round(4))


def test_the_threshold_explorer_finds_the_cheapest_point(open_page, make_predictions) -> None:
    entries = {
        split: compute_metrics(make_predictions(2, 300, seed=k)) for k, split in enumerate(("val", "test"))
    }
    predictions = make_predictions(2, 300, seed=1)
    page = open_page(render(predictions, metrics=entries))
    points = entries["val"]["operating_points"]
    slider = page.get_by_role("slider")
    for steps in (0, 10, -13, 20, -20):
        slider.evaluate("(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", str(steps))
        ratio = float(f"{10 ** (steps / 10):.2g}")
        costs = [ratio * point["false_negative"] + point["false_positive"] for point in points]
        row = [text.replace(",", "") for text in page.locator("#thresholds tr.sum td").all_inner_texts()]
        missed, alarms = int(row[2]), int(row[3])
        assert ratio * missed + alarms == pytest.approx(min(costs))
        keys = ("true_positive", "false_negative", "false_positive", "true_negative")
        at = {(f"{point['threshold']:.3g}", *(point[key] for key in keys)) for point in points}
        assert (f"{float(row[0]):.3g}", *map(int, row[1:])) in at
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "0.01 false alarms"


# For everybody


@pytest.fixture
def pages(report, many, make_predictions, naughty_names) -> dict[str, str]:
    two = make_predictions(2, 80)
    return {
        "four classes": report,
        "many classes": render(many),
        "two classes": render(two),
        "awkward names": render(make_predictions(10, 400, names=naughty_names)),
        "one class in the test": render(
            Predictions(two.images, np.zeros(80, np.int64), two.logits, ("a" * 300, "b"))
        ),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, pages, scheme) -> None:
    for title, html in pages.items():
        page = open_page(html, color_scheme=scheme)
        page.locator("td[data-share]").first.click()
        results = Axe().run(page)
        found = [
            (title, rule["id"], rule["nodes"][0]["html"][:200], rule["nodes"][0].get("failureSummary"))
            for rule in results.response["violations"]
        ]
        assert found == []


@pytest.mark.parametrize("width", [360, 768, 1280, 1600])
def test_no_page_scrolls_sideways(open_page, pages, width) -> None:
    for title, html in pages.items():
        page = open_page(html, width=width)
        page.locator("td[data-share]").first.click()
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert (title, page.evaluate("document.documentElement.scrollWidth")) == (title, width)


def test_names_are_shown_as_they_are_and_run_nothing(open_page, pages, naughty_names) -> None:
    page = open_page(pages["awkward names"])
    shown_names = page.locator(f"{ROWS} .name").evaluate_all("names => names.map(n => n.textContent)")
    assert shown_names == [name.replace("\x00", "").replace("\x1b", "") for name in naughty_names]
    for cell in page.locator("td[data-share]").all()[:12]:
        cell.click()
        name = naughty_names[int(cell.get_attribute("data-t"))]
        assert name in page.locator("#panel h3 .name").first.evaluate("n => n.textContent")


def test_the_theme_can_be_turned(open_page, report) -> None:
    page = open_page(report, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Light page").click()
    assert page.evaluate(paper) == "rgb(255, 255, 255)" != dark
    page.get_by_role("button", name="Dark page").click()
    assert page.evaluate(paper) == dark


def test_commands_are_copied_or_at_least_selected(open_page, report) -> None:
    command = "striate train --config 'a b.yaml'\nsecond line"
    page = open_page(report, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: Repeat this training").click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == command
    page.evaluate(
        "() => { navigator.clipboard.writeText = async () => { throw new Error('not allowed'); }; }"
    )
    page.evaluate("() => { document.execCommand = () => false; }")
    page.get_by_role("button", name="Copy: Repeat this training").click()
    page.get_by_text("Selected", exact=True).wait_for()
    assert page.evaluate("getSelection().toString()") == command


def test_the_page_is_whole_without_its_script(open_page, report) -> None:
    page = open_page(report, java_script_enabled=False)
    for text in ("What it takes for what", "Least certain", "recall", "striate train --config"):
        assert page.get_by_text(text).first.is_visible()
    assert page.locator(".grid td").filter(has_text=re.compile(r"\d")).count() > 4
    assert page.locator(".card img").first.is_visible()
    assert (
        page.locator("svg.chart:visible").count() == 6
    )  # loss, accuracy, reliability, answers, ROC, precision-recall
    assert page.locator(".scripted:visible").count() == 0
    assert page.locator("button:visible").count() == 0


def test_the_page_prints_whole_on_a4(open_page, pages) -> None:
    for html in pages.values():
        page = open_page(html, width=672)  # A4 less margins of 16 mm, in CSS pixels
        page.locator("td[data-share]").first.click()
        pdf = page.pdf(prefer_css_page_size=True)
        assert pdf.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 3
        page.emulate_media(media="print")
        assert not page.locator("#panel").is_visible()
        assert not page.locator("nav").is_visible()
        cut = page.evaluate(
            "[...document.querySelectorAll('.scroll, pre')].filter(e => e.scrollWidth > e.clientWidth"
            " && getComputedStyle(e).overflowX !== 'visible').length"
        )
        assert cut == 0


def test_marks_of_many_classes_are_squares_that_print(open_page, many) -> None:
    page = open_page(render(many))
    page.emulate_media(media="print")
    marks = page.locator(".overview g path").evaluate_all(
        """paths => paths.map(path => [
             path.getTotalLength(), path.getAttribute("d").split("M").length - 1,
             parseFloat(getComputedStyle(path).strokeWidth), getComputedStyle(path).strokeLinecap])"""
    )
    assert marks
    for length, count, thickness, ends in marks:
        assert length == pytest.approx(count * thickness) != 0
        assert ends == "butt"


LONG_NAMES = ("Tomato___Tomato_Yellow_Leaf_Curl_Virus", "Cherry_(including_sour)___Powdery_mildew", "a", "b")


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_keep_off_the_numbers(open_page, four, width) -> None:
    page = open_page(render(replace(four, class_names=LONG_NAMES)), width=width)
    over = page.locator(f"{ROWS} .name").evaluate_all("all => all.map(n => n.scrollWidth - n.clientWidth)")
    assert max(over) <= 0


def test_folded_images_are_printed_too(open_page, report) -> None:
    page = open_page(report)
    page.emulate_media(media="print")
    folded = page.locator("details .card")
    assert folded.count() > 10
    assert folded.last.evaluate("card => card.checkVisibility({ contentVisibilityAuto: true })")


def test_ten_thousand_images_make_a_small_page_that_answers_at_once(open_page, make_predictions) -> None:
    noise = np.random.default_rng(0)

    def photos(paths: Sequence[str]) -> list[bytes]:
        return [b"\xff\xd8\xff" + noise.bytes(3000) for _ in paths]  # as large as real ones

    html = render(make_predictions(10, 10_000, strength=3), thumbnails=photos)
    assert len(html.encode()) < 5_000_000
    page = open_page(html)
    milliseconds = page.evaluate(
        "() => { const start = performance.now();"
        " document.querySelector('td[data-share]').click();"
        " document.querySelector('#class-table th button').click();"
        " document.body.getBoundingClientRect(); return performance.now() - start; }"
    )
    assert milliseconds < 300

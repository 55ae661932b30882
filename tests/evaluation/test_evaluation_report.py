"""What the report says, and that it is one complete, safe page."""

import base64
import hashlib
import itertools
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from striate import schemas
from striate.config import TrainConfig
from striate.evaluation import (
    Command,
    ReportContext,
    compute_metrics,
    confusion_matrix,
    context_from_run,
    predictions_table,
    render_report,
    wilson,
)
from striate.evaluation.curves import curves_table
from striate.evaluation.report import confusion, opening, svg
from striate.evaluation.wording import duration, headline, percent, remarks
from striate.files import write_json
from striate.runs import Run

VOID = {"meta", "img", "br", "link", "input"}
APART = {"td", "th", "dt", "dd", "p", "li", "h1", "h2", "h3", "pre", "b", "small", "span", "svg", "text"}


class Page(HTMLParser):
    """Reads a page: its tags, its text by tag, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = self.scripts = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag
        if tag in APART:
            self.text += "\n"

    def handle_data(self, data) -> None:
        if "script" in self.open:
            self.scripts += data
        elif "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture
def context(make_predictions, make_history) -> ReportContext:
    return ReportContext(
        title="leaves-mynet",
        metrics={
            "val": compute_metrics(make_predictions(3, 50, seed=1)),
            "test": compute_metrics(make_predictions(3, 270)),
        },
        data_name="leaves",
        counts={"train": [400, 500, 600], "val": [20, 20, 10], "test": [90, 90, 90]},
        network={
            "name": "mynet",
            "parameters": 56394,
            "multiply_adds": 2_790_000,
            "input_shape": [1, 28, 28],
        },
        training={"seconds": 83.2, "device": "cpu"},
        config=TrainConfig(data="leaves.zip", model_options={"hidden": 10}).model_dump(mode="json"),
        history=make_history(5),
        goal=0.75,
        messages=("class 'rust' is missing from val",),
        quarantined=2,
        environment={"python": "3.12", "libraries": {"numpy": "2.4.6"}, "memory_bytes": 2**30},
        commands=(Command("Repeat this training", "striate train --config 'runs/a b/config.yaml'"),),
        files={"history.csv": "loss and accuracy of each epoch"},
    )


def test_images_that_set_the_temperature_alone_are_said_to(context):
    calibration = {"temperature": 1.4, "samples": 50}
    page = Page(render_report(replace(context, history=None, calibration=calibration)))
    assert "used for the temperature" in page.words
    assert "used once, at the end" in page.words
    assert "measured only" not in page.words


def test_report_begins_with_the_result_in_words_and_numbers(context) -> None:
    html = render_report(context)
    correct = context.metrics["test"]["correct"]
    low, high = wilson(correct, 270)
    first = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert first is not None
    assert first[1] == (
        f"{round(100 * correct / 270)} of 100 new images would be named correctly, "
        f"between {math.floor(100 * low)} and {math.ceil(100 * high)}."
    )
    lead = (
        f"{correct} of 270 test images ({100 * correct / 270:.1f} %) were named correctly; "
        f"on new images of this kind expect between {100 * low:.1f} % and {100 * high:.1f} %."
    )
    assert lead in Page(html).words.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("correct", "n", "seen", "text"),
    [
        (91, 100, False, "91 of 100 new images would be named correctly, between 83 and 96."),
        (998, 1000, False, "998 of 1,000 new images would be named correctly, between 992 and 1,000."),
        (30, 30, False, "100 of 100 new images would be named correctly, between 88 and 100."),
        (0, 200, False, "0 of 1,000 new images would be named correctly, between 0 and 19."),
        (91, 100, True, "91 of 100 training images are named correctly; new ones were not tested."),
    ],
)
def test_sentence_counts_new_images_and_rounds_its_interval_outwards(correct, n, seen, text) -> None:
    low, high = wilson(correct, n)
    share = {"value": correct / n, "low": low, "high": high}
    assert opening.sentence(share, n, seen) == text


@pytest.mark.parametrize("value", [0.0, 0.001, 0.37, 0.5, 0.994, 0.9999, 1.0])
@pytest.mark.parametrize("width", [0.0, 0.01, 0.2])
def test_squares_hold_the_result_and_its_interval(value, width) -> None:
    share = {"value": value, "low": max(0.0, value - width), "high": min(1.0, value + width)}
    right, surely_right, surely_wrong = opening.square_counts(share)
    assert 0 <= surely_right <= right <= 100 - surely_wrong <= 100
    assert abs(right - 100 * value) <= 1
    assert (right == 100) == (value == 1)
    assert (right == 0) == (value == 0)
    drawing = opening.squares(share)
    assert drawing.count('class="right"') == surely_right
    assert drawing.count('class="wrong"') == surely_wrong
    assert drawing.count(" open") == 100 - surely_right - surely_wrong


def test_report_says_what_was_trained_on_what_and_how(context) -> None:
    words = Page(render_report(context)).words
    for text in (
        "leaves: 1,500 images of 3 classes",
        "mynet, 56,394 parameters, 2.79 million multiply-adds an image, input 1 x 28 x 28",
        "5 epochs; epoch 3 was kept (the best on validation), took 1 min 23 s, on the processor",
        "class 'rust' is missing from val",
        "2 images could not be used",
        "used for choosing the epoch",
        "used once, at the end",
        "model_options: hidden",
        "libraries: numpy 2.4.6",
        "memory_bytes 1.0 GiB",
        "striate train --config 'runs/a b/config.yaml'",
        "history.csv loss and accuracy of each epoch",
    ):
        assert text in words


def test_report_shows_every_class_with_its_numbers(context) -> None:
    words = Page(render_report(context)).words.replace("\u00a0", " ")
    for row, train in zip(context.metrics["test"]["per_class"], (400, 500, 600), strict=True):
        share = f"{100 * row['recall']['value']:.1f} %"
        assert re.search(rf"{row['name']} {train} \d+ {row['samples']} {re.escape(share)}", words)


def test_report_is_one_page_that_loads_nothing(context) -> None:
    html = render_report(context)
    page = Page(html)
    assert page.all("link") == []
    assert page.all("img") == []
    assert not re.search(r"url\(|@import|\bon\w+=|https?://(?!www\.w3\.org/2000/svg)", html)
    assert [a for a in page.all("a") if not a["href"].startswith("#")] == []
    assert not any("style" in attributes for _, attributes in page.tags)
    assert len(html) < 200_000


def test_policy_allows_the_pages_own_style_and_script_alone(context) -> None:
    html = render_report(context)
    content = next(
        a["content"] for a in Page(html).all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    policy = dict(rule.split(" ", 1) for rule in content.split("; "))
    hashes = {
        f"{name}-src": f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for name in ("style", "script")
        for text in re.findall(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)
    }
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        **hashes,
    }


def test_report_can_be_read_by_a_screen_reader(context) -> None:
    page = Page(render_report(context))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    drawings = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawings) == 5  # squares, loss, accuracy, reliability, answers
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in drawings)
    assert all(cell.get("scope") for cell in page.all("th"))
    identities = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identities) == len(set(identities))
    named = [a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a]
    assert set(named) <= set(identities)
    targets = {a["href"].removeprefix("#") for a in page.all("a")}
    assert targets <= set(identities)


def test_every_name_is_escaped(context, make_predictions, naughty_names) -> None:
    evil = "</style><script>alert(2)</script>"
    page = Page(
        render_report(
            replace(
                context,
                title=evil,
                data_name=evil,
                metrics={"test": compute_metrics(make_predictions(10, 90, names=naughty_names))},
                counts={"train": [1] * 10},
                messages=(evil,),
                network={"name": evil},
                config={evil: evil},
                environment={evil: {evil: evil}},
                commands=(Command(evil, evil),),
                files={evil: evil},
                training={"message": evil, "device": evil},
            )
        )
    )
    assert len(page.all("script")) == 2
    assert page.text.count(evil) >= 10
    assert evil not in page.scripts
    for name in naughty_names:
        assert name.replace("\x00", "").replace("\x1b", "") in page.text


def test_text_that_html_cannot_hold_is_left_out(context) -> None:
    html = render_report(replace(context, messages=("a\x00b\ud800c\x9b",)))
    assert "ab?c" in html
    html.encode("utf-8")


def test_names_cannot_run_template_code(context, make_predictions) -> None:
    names = ("{{ 7 * 7 }}", "{% raw %}", "c")
    html = render_report(
        replace(context, metrics={"test": compute_metrics(make_predictions(3, 90, names=names))})
    )
    assert "{{ 7 * 7 }}" in html
    assert "{% raw %}" in html


def test_report_of_an_evaluation_has_no_training(make_predictions) -> None:
    entry = compute_metrics(make_predictions(2, 500))
    page = Page(
        render_report(
            ReportContext(
                title="x", metrics={"val": entry}, data_name="cats and dogs", evaluated_on="new photos"
            )
        )
    )
    assert f"{entry['correct']} of 500 images of new photos" in page.words
    assert "squared error" in page.words
    assert "Where to draw the line" in page.words
    assert "Trained on cats and dogs: 2 classes" in page.words
    assert "on new images of this kind expect" in page.words
    assert "A threshold must be chosen on validation images" in page.words
    assert "choosing the epoch" not in page.words
    for absent in ("How training went", "Settings", "Environment", "Repeat it", "Files beside", "Images"):
        assert absent not in page.words


def test_report_without_validation_keeps_the_last_epoch(context, make_history) -> None:
    words = Page(render_report(replace(context, history=make_history(4, validation=False)))).words
    assert "epoch 4 was kept (the last, as there is no validation split)" in words


def test_report_names_the_epoch_that_the_run_kept(context) -> None:
    words = Page(render_report(replace(context, training={"best_epoch": 2}))).words
    assert "epoch 2 was kept" in words


def test_report_of_validation_alone_says_that_it_flatters(context) -> None:
    only = {"val": context.metrics["val"]}
    assert "These images also chose the epoch" in Page(render_report(replace(context, metrics=only))).words


def test_weighty_remarks_come_first_and_the_others_below(context) -> None:
    messages = tuple(f"message number {k}" for k in range(5))
    html = render_report(replace(context, messages=messages))
    assert "3 further remarks" in Page(html).words
    assert html.index("message number 0") < html.index("How good it is") < html.index("message number 4")


@pytest.mark.parametrize("config", [{"augment": "photo"}, {"augment": "none", "mixup": 0.2}])
def test_curves_speak_of_augmented_images_where_there_are_any(context, config) -> None:
    assert "on augmented images" in render_report(replace(context, config=config))
    assert "on augmented images" not in render_report(replace(context, config={"augment": "none"}))


@pytest.mark.parametrize(
    ("goal", "verdict"), [(0.1, "is reached: the whole"), (0.999, "is missed: the whole"), (None, "")]
)
def test_goal_is_judged_by_the_interval(context, goal, verdict) -> None:
    words = Page(render_report(replace(context, goal=goal))).words
    assert ("The goal of" in words) == (goal is not None)
    assert verdict in words


def test_goal_within_the_interval_is_left_open(context) -> None:
    value = context.metrics["test"]["accuracy"]["value"]
    assert "this test cannot settle it" in Page(render_report(replace(context, goal=value))).words


def test_report_without_mistakes_says_so(context) -> None:
    labels = np.arange(30) % 3
    logits = 9 * np.eye(3, dtype=np.float32)[labels]
    perfect = schemas.Predictions(tuple(map(str, range(30))), labels, logits, ("a", "b", "c"))
    words = Page(render_report(replace(context, metrics={"test": compute_metrics(perfect)}))).words
    assert "No mistake was made" in words
    assert "30 of 30 test images (100 %)" in words


def test_report_of_a_thousand_classes_numbers_them(context, make_predictions) -> None:
    entry = compute_metrics(make_predictions(1000, 3000), resamples=10)
    html = render_report(replace(context, metrics={"test": entry}, counts={}))
    assert len(html) < 2_000_000
    assert "1000 class 999 " in Page(html).words
    assert html.count('aria-label="Confusion matrix"') == 0


def test_report_shows_the_weighted_total_of_several_sets(context) -> None:
    part = {"value": 0.7, "low": 0.6, "high": 0.8, "samples": 90}
    parts = [part | {"name": name, "weight": weight} for name, weight in (("orig", 0.75), ("new", 0.25))]
    total = {"value": 0.7, "low": 0.62, "high": 0.77, "parts": parts}
    sets = dict.fromkeys(("orig", "new"), context.metrics["test"])
    words = Page(render_report(replace(context, metrics=sets, total=total))).words.replace("\u00a0", " ")
    assert "70 of 100 new images would be named correctly, between 62 and 77." in words
    assert "Weighted over 2 sets: 70.0 %, interval 62.0 % to 77.0 %." in words
    assert "orig 0.75 90 70.0 % 60.0\u201380.0 new 0.25 90" in words


def test_report_lists_images_that_could_not_be_used(context) -> None:
    listed = replace(context, quarantined=101, quarantine=[("<a>.png", "truncated")])
    words = Page(render_report(listed)).words
    assert "<a>.png truncated" in words
    assert "100 more stand in quarantine.csv" in words


def test_report_without_calibration_areas_pairs_or_points_leaves_their_parts_out(context) -> None:
    optional = ("calibration", "answered", "roc_auc", "average_precision", "confused_pairs", "top_k", "brier")
    entry = {key: value for key, value in context.metrics["test"].items() if key not in optional}
    entry["per_class"] = [
        {key: value for key, value in row.items() if key not in ("roc_auc", "average_precision", "few")}
        for row in entry["per_class"]
    ]
    words = Page(render_report(replace(context, metrics={"test": entry}))).words
    assert "Class by class" in words
    for absent in (
        "certainty",
        "uncertain images to a person",
        "ROC",
        "Pairs that are confused",
        "Brier",
        "Where to draw",
    ):
        assert absent not in words


def test_curves_of_the_run_are_drawn(context, make_predictions) -> None:
    predictions = make_predictions(3, 270)
    curves = curves_table(predictions, context.metrics["test"])
    html = render_report(replace(context, curves=curves.astype(str)))
    page = Page(html)
    assert "How well it tells classes apart" in page.words
    assert html.count('class="line val thin"') == 2 * 2
    lowest = min(context.metrics["test"]["per_class"], key=lambda row: row["roc_auc"]["value"])
    assert f"Strong line: '{lowest['name']}', area {lowest['roc_auc']['value']:.4g}" in page.words


@pytest.mark.parametrize("split", ["val", "test"])
def test_threshold_is_counted_on_validation_or_warned_about(context, make_predictions, split) -> None:
    entries = {
        name: compute_metrics(make_predictions(2, 200, seed=seed))
        for seed, name in enumerate(("test", split))
    }
    words = Page(render_report(replace(context, metrics=entries, counts={}))).words
    assert ("Counted on the validation images, as it must be" in words) == (split == "val")
    assert ("A threshold must be chosen on validation images" in words) == (split == "test")
    for ratio in (0.1, 1, 10):
        best = min(
            entries[split]["operating_points"],
            key=lambda point: (
                ratio * point["false_negative"] + point["false_positive"],
                abs(point["threshold"] - 1 / (1 + ratio)),
            ),
        )
        counts = "true_positive", "false_negative", "false_positive", "true_negative"
        row = f"{ratio:g} false alarm{'' if ratio == 1 else 's'} {best['threshold']:.3g} "
        assert row + " ".join(str(best[count]) for count in counts) in words


def test_groups_hold_the_classes_that_are_taken_for_one_another() -> None:
    counts = 90 * np.eye(40, dtype=np.int64)
    for first in range(0, 40, 4):  # blocks of four, scattered over the classes
        block = [(first + step) * 7 % 40 for step in range(4)]
        for one, other in itertools.permutations(block, 2):
            counts[one, other] = 3
    found = confusion.groups(counts)
    expected = {frozenset((first + step) * 7 % 40 for step in range(4)) for first in range(0, 40, 4)}
    assert {frozenset(group) for group in found} == expected
    shuffled = np.random.default_rng(0).permutation(40)
    again = confusion.groups(counts[np.ix_(shuffled, shuffled)])
    assert {frozenset(shuffled[group].tolist()) for group in again} == expected


@pytest.mark.parametrize("classes", [31, 200])
def test_groups_hold_every_class_once_and_no_more_than_the_limit(make_predictions, classes) -> None:
    counts = confusion_matrix(compute_metrics(make_predictions(classes, 3000, strength=1), resamples=10))
    found = confusion.groups(counts, largest=5)
    assert sorted(index for group in found for index in group) == list(range(classes))
    assert max(map(len, found)) <= 5


@pytest.mark.parametrize("span", [(0, 1), (0.2, 0.203), (3, 1234), (-5, 5), (1e-7, 3e-7), (0, 0)])
def test_ticks_are_few_and_lie_within(span) -> None:
    found = svg.ticks(*span)
    assert 1 <= len(found) <= 6
    assert all(span[0] - 1e-12 <= value <= span[1] + 1e-12 for value in found)
    assert found == sorted(set(found))
    assert span == (0, 0) or len(found) >= 2


def test_report_of_nothing_is_refused(context) -> None:
    with pytest.raises(ValueError, match="at least one split"):
        render_report(replace(context, metrics={}))


def test_remarks_warn_of_what_weakens_the_result(make_predictions) -> None:
    guessing = compute_metrics(make_predictions(3, 40, strength=0))
    assert "Not shown to be better than naming" in remarks("test", guessing)[0]
    assert any("Only 40 test images" in remark for remark in remarks("test", guessing))
    logits = np.array([[3, 0, 0]] * 200, np.float32)
    labels = np.array([0] * 195 + [1] * 5)
    lazy = compute_metrics(schemas.Predictions(tuple("a" * 200), labels, logits, ("a", "b", "c")))
    text = " ".join(remarks("test", lazy))
    assert "1 class without a test image" in text
    assert "Never predicted (precision counts as 0): 'b'" in text
    assert "Fewer than 10 test images, too few to judge the class: 'b'" in text


def test_good_results_on_many_images_need_no_remark(make_predictions) -> None:
    assert remarks("test", compute_metrics(make_predictions(3, 900, strength=9))) == []


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.9889, "98.9 %"),
        (0.9996, "99.96 %"),
        (0.00001, "0.001 %"),
        (0.5, "50.0 %"),
    ],
)
def test_percent_never_rounds_to_all_or_nothing(share, text) -> None:
    assert percent(share) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (48, "48 s"), (125, "2 min 05 s"), (4320, "1 h 12 min"), (59.7, "1 min 00 s")],
)
def test_durations_read_as_people_say_them(seconds, text) -> None:
    assert duration(seconds) == text


def test_headline_counts_one_image_in_the_singular(make_predictions) -> None:
    entry = compute_metrics(make_predictions(2, 1, strength=50))
    assert headline("test", entry).startswith("1 of 1 test image (100\u00a0%) was named correctly")


@pytest.fixture
def run(tmp_path, make_predictions, make_history) -> Run:
    run = Run(tmp_path / "it's a run")
    run.figures.mkdir(parents=True)
    predictions = make_predictions(3, 30)
    run.write_config(TrainConfig(data="leaves", goal=0.5))
    run.write_predictions("test", predictions, predictions_table(predictions))
    write_json(run.metrics_file, {"test": compute_metrics(predictions)})
    run.write_facts(
        {
            "data": {"name": "leaves", "messages": ["a message"]},
            "network": {"name": "mynet", "parameters": 12},
            "training": {"seconds": 3.0},
        }
    )
    write_json(run.environment_file, {"python": "3.12"})
    schemas.write_table(run.history_file, make_history(4))
    samples = [("a.png", f"class {k}", split, "") for split in ("train", "test") for k in (0, 0, 2)]
    samples.append(("b.png", "class 1", "", "left out"))
    schemas.write_table(run.samples_file, pd.DataFrame(samples, columns=list(schemas.SAMPLE_COLUMNS)))
    schemas.write_table(run.quarantine_file, pd.DataFrame(columns=list(schemas.QUARANTINE_COLUMNS)))
    return run


def test_context_is_read_from_the_run_folder(run) -> None:
    context = context_from_run(run, messages=("another",))
    assert context.counts == {"train": [2, 0, 1], "test": [2, 0, 1]}
    assert context.messages == ("a message", "another")
    assert context.goal == 0.5
    assert context.quarantined == 0
    assert context.network == {"name": "mynet", "parameters": 12}
    assert {"config.yaml", "predictions-test.csv", "figures/"} <= set(context.files)
    words = Page(render_report(context)).words
    assert f"{'it' + chr(39)}s a run" in words


def test_commands_of_the_report_survive_the_shell(run) -> None:
    commands = {command.purpose: command.text for command in context_from_run(run).commands}
    done = subprocess.run(
        ["bash", "-c", f"striate() {{ printf '%s\\n' \"$@\"; }}\n{commands['Repeat this training']}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:3] == ["train", "--config", str(run.config_file)]
    compile(commands["Use it from Python"], "command", "exec")


def test_commands_of_an_evaluation_name_the_model_that_was_measured(run) -> None:
    data = {"name": "leaves", "evaluated_on": "photos"}
    run.write_facts({"model": "/elsewhere/model", "data": data, "network": {}, "training": {}})
    context = context_from_run(run)
    texts = [command.text for command in context.commands if "config" not in command.text]
    assert all("/elsewhere/model" in text for text in texts)
    assert f"of 30 images of {context.evaluated_on}" in Page(render_report(context)).words


def test_paths_like_formulas_come_back_from_the_run_folder(run, make_predictions) -> None:
    predictions = replace(make_predictions(3, 2), images=("=1+1/a.png", "b.png"))
    run.write_predictions("val", predictions, predictions_table(predictions))
    assert "'=1+1/a.png" in run.predictions_table("val").read_text(encoding="utf-8")
    assert run.predictions("val").images == predictions.images


def test_context_bears_a_folder_that_holds_an_evaluation_alone(run) -> None:
    for file in (
        run.config_file,
        run.history_file,
        run.samples_file,
        run.quarantine_file,
        run.environment_file,
    ):
        file.unlink()
    context = context_from_run(run)
    assert context.history is None
    assert context.counts == {}
    assert "Repeat this training" not in [command.purpose for command in context.commands]
    assert "named correctly" in render_report(context)


def test_evaluation_never_imports_torch() -> None:
    code = (
        "import sys, numpy as np; from striate.evaluation import *; from striate.evaluation import figures; "
        "from striate.schemas import Predictions; "
        "p = Predictions(('a', 'b'), np.array([0, 1]), np.eye(2, dtype=np.float32), ('x', 'y')); "
        "render_report(ReportContext(title='t', metrics={'test': compute_metrics(p)}, data_name='d')); "
        "predictions_table(p); print([m for m in ('torch', 'lightning', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_evaluation_imports_neither_pandas_nor_matplotlib_at_once() -> None:
    code = (
        "import sys, striate.evaluation; "
        "print([m for m in ('pandas', 'matplotlib', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What the report says, and that it is one complete, safe page."""

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
    context_from_run,
    predictions_table,
    render_report,
    wilson,
)
from striate.evaluation.wording import duration, headline, percent, remarks
from striate.files import write_json
from striate.runs import Run

VOID = {"meta", "img", "rect", "br", "link"}
APART = {"td", "th", "dt", "dd", "p", "li", "h1", "h2", "h3", "pre"}


class Page(HTMLParser):
    """Reads a page: its tags, its text by tag, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
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
        if "style" not in self.open:
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


def test_report_begins_with_the_result_in_words_and_numbers(context) -> None:
    html = render_report(context)
    correct = context.metrics["test"]["correct"]
    low, high = wilson(correct, 270)
    sentence = (
        f"{correct} of 270 test images ({100 * correct / 270:.1f} %) were named correctly; "
        f"on new images of this kind expect between {100 * low:.1f} % and {100 * high:.1f} %."
    )
    first = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert first is not None
    assert first[1].replace("\u00a0", " ") == sentence


def test_report_says_what_was_trained_on_what_and_how(context) -> None:
    words = Page(render_report(context)).words
    for text in (
        "leaves: 1,500 images of 3 classes",
        "mynet, 56,394 parameters, 2.79 million multiply-adds an image, input 1 x 28 x 28",
        "5 epochs; epoch 3 was kept (the best on validation), took 1 min 23 s, on cpu",
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
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert page.all("script") == []
    assert page.all("link") == []
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.all("img"))
    assert not re.search(r"url\(|@import|\bon\w+=", html)
    assert [a for a in page.all("a") if not a["href"].startswith("#")] == []


def test_report_can_be_read_by_a_screen_reader(context) -> None:
    page = Page(render_report(context))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert len(page.all("img")) == 4
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert all(cell.get("scope") for cell in page.all("th"))
    identities = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identities) == len(set(identities))
    named = [a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a]
    assert set(named) <= set(identities)


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
    assert page.all("script") == []
    assert page.text.count(evil) >= 10
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
    assert "Trained on cats and dogs: 2 classes" in page.words
    assert "on new images of this kind expect" in page.words
    assert "validation" not in page.words
    for absent in ("How training went", "Settings", "Environment", "Repeat it", "Files beside"):
        assert absent not in page.words
    assert len(page.all("img")) == 2


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
    assert html.index("message number 0") < html.index("Scores") < html.index("message number 4")


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
    entry = compute_metrics(make_predictions(1000, 3000))
    html = render_report(replace(context, metrics={"test": entry}, counts={}))
    assert len(html) < 2_000_000
    assert "1000 class 999 " in Page(html).words


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

"""Progress on a terminal, away from one, and with names full of markup."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from striate.cli import results
from striate.cli.display import ConsoleListener
from striate.cli.results import show_data, show_predictions, show_run
from striate.cli.text import one_line, plain
from striate.evaluation import predictions_table
from striate.schemas import Predictions
from striate.training import EpochRecord, Progress
from striate.workflows.predict import PredictionTable

RECORD = EpochRecord(2, 1e-3, 0.5, 0.812, 0.6, 0.79, True, 3.21, 1000.0)


def shown(quiet: bool = False, terminal: bool = False) -> str:
    """Return what a console shows of a small training."""
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=terminal, width=100, highlight=False)
    with ConsoleListener(console, quiet) as listener:
        listener.stage("decoding images", 1, 10)
        listener.stage("decoding images", 10, 10)
        listener.message("class '[bold]x[/bold]' has no test image")
        listener.batch(Progress(epoch=2, epochs=4, step=3, steps=10, images_per_second=1234.5))
        listener.epoch(RECORD, 4)
    return buffer.getvalue()


def test_away_from_a_terminal_there_is_a_line_an_epoch_and_no_bar():
    text = shown()
    assert (
        "epoch 2/4   train loss 0.5000 accuracy 81.2%   val loss 0.6000 accuracy 79.0%   3.2 s   kept" in text
    )
    assert "images/s" not in text
    assert "\x1b" not in text


def test_a_terminal_shows_the_rate_and_how_far_all_epochs_are():
    text = shown(terminal=True)
    assert "1,234 images/s" in text
    assert "13/40" in text


@pytest.mark.parametrize("quiet", [False, True])
def test_away_from_a_terminal_long_stages_say_how_far_they_are(monkeypatch, quiet):
    now = [0.0]
    monkeypatch.setattr("striate.cli.display.time", SimpleNamespace(monotonic=lambda: now[0]))
    buffer = io.StringIO()
    with ConsoleListener(Console(file=buffer, width=100), quiet) as listener:
        for name, seconds, steps in (
            ("decoding", 0.4, 10),
            ("explaining [x]", 2, 40),
            ("explaining [y]", 1, 5),
        ):
            for done in range(steps + 1):
                listener.stage(name, done, steps)
                now[0] += seconds if done < steps else 0
    told = ["explaining [x] 3/40", "explaining [x] 18/40", "explaining [x] 33/40"]
    assert buffer.getvalue().splitlines() == ([] if quiet else told)


def test_quiet_leaves_the_messages():
    lines = shown(quiet=True).splitlines()
    assert lines == ["! class '[bold]x[/bold]' has no test image"]


@pytest.mark.parametrize("terminal", [False, True])
def test_names_with_markup_are_shown_as_they_are(terminal):
    assert "'[bold]x[/bold]'" in shown(terminal=terminal)


def test_an_epoch_without_validation_shows_training_alone():
    buffer = io.StringIO()
    record = EpochRecord(1, 1e-3, 0.5, 0.8, None, None, True, 3.0, 1000.0)
    ConsoleListener(Console(file=buffer, width=100), quiet=False).epoch(record, 10)
    assert buffer.getvalue().strip() == "epoch  1/10   train loss 0.5000 accuracy 80.0%   3.0 s"


def one_prediction(image, name):
    predictions = Predictions((image,), np.array([-1]), np.array([[2.0, 1.0]], np.float32), (name, "dog"))
    return PredictionTable(predictions_table(predictions), predictions, ())


def test_predictions_and_counts_are_not_cut_in_a_pipe(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    name = "a folder/" + "long " * 40 + "name.png"
    show_predictions(one_prediction(name, "[b]cat"), None)
    counts = pd.DataFrame({"class": [name], "train": [7], "quarantined": [1]})
    show_data(SimpleNamespace(counts=counts, sizes=counts, figures=()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("  ")[:2] == [name, "[b]cat"]
    assert sum(line.startswith(name) for line in lines) == 3
    assert "quarantined" in lines[2]


def test_a_narrow_terminal_breaks_names_and_cuts_none(monkeypatch):
    buffer = io.StringIO()
    monkeypatch.setattr(results, "result_console", lambda: Console(file=buffer, width=30))
    show_predictions(one_prediction("x" * 60, "cat"), None)
    assert buffer.getvalue().count("x") == 60
    assert "…" not in buffer.getvalue()


def test_a_terminal_shows_the_last_epoch_and_the_best_so_far():
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=100, highlight=False)
    worse = EpochRecord(3, 1e-3, 0.4, 0.9, 0.7, 0.75, False, 3.0, 1000.0)
    with ConsoleListener(console, quiet=False) as listener:
        listener.batch(Progress(epoch=2, epochs=4, step=3, steps=10, images_per_second=1234.5))
        listener.epoch(RECORD, 4)
        listener.epoch(worse, 4)
        listener._progress.refresh()
        live = buffer.getvalue()
        listener.stage("evaluating test", 1, 2)
    assert "0.7000" in live
    assert "75.0%" in live
    assert "kept: epoch 2" in live
    assert "epoch 3/4   train loss" not in live  # no line an epoch: the display stays in place
    rest = buffer.getvalue()[len(live) :]
    assert "epoch 3/4   train loss 0.4000 accuracy 90.0%   val loss 0.7000 accuracy 75.0%" in rest
    assert "epoch 2/4" in rest


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(terminal=True)
    assert "epoch 2/4   train loss" in shown(terminal=True)


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=100, highlight=False)
    ConsoleListener(console, quiet=True).message("something")
    assert buffer.getvalue() == "! something\n"


HOSTILE = "line\nbreak\r\x1b[31m\u202ex\u2028"


def test_hostile_names_fill_one_line_and_steer_no_terminal(capsys):
    assert one_line(HOSTILE) == r"line\nbreak\r\x1b[31m\u202ex\u2028"
    assert plain("a\n\x1bb") == "a\n\\x1bb"
    assert one_line("Größe 葉 ورقة") == "Größe 葉 ورقة"
    show_predictions(one_prediction(HOSTILE, HOSTILE), None)
    counts = pd.DataFrame({"class": [HOSTILE], "train": [7]})
    show_data(SimpleNamespace(counts=counts, sizes=counts, figures=(HOSTILE,)))
    lines = capsys.readouterr().out.split("\n")
    assert sum(r"line\nbreak" in line for line in lines) == 4
    assert not any(letter in "".join(lines) for letter in "\r\x1b\u202e\u2028")


def test_messages_cannot_steer_the_terminal():
    buffer = io.StringIO()
    ConsoleListener(Console(file=buffer, width=100), quiet=True).message("a\x1b[2Jb")
    assert buffer.getvalue() == "! a\\x1b[2Jb\n"


def share(value: float) -> dict:
    return {"value": value, "low": value - 0.1, "high": value + 0.05}


def a_run(metrics: dict, total: dict | None = None) -> SimpleNamespace:
    sets = {} if total is None else {name: {} for name in metrics}
    return SimpleNamespace(
        metrics=lambda: metrics, total=lambda: total, sets=lambda: sets, report="runs/x/report.html"
    )


def an_entry(value: float, **more: object) -> dict:
    entry = {"samples": 1200, "accuracy": share(value), "log_loss": share(0.3), "f1": {"macro": share(value)}}
    return entry | more


def test_the_end_shows_a_table_the_top_remarks_and_the_report(capsys):
    show_run(a_run({"val": an_entry(0.8), "test": an_entry(0.7)}), [f"remark {n}" for n in range(5)])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert " ".join(lines[0].split()) == "split images accuracy 95 % interval macro F1 log loss"
    assert " ".join(lines[2].split()) == "test 1,200 70.00% 60.0% to 75.0% 0.7000 0.3000"
    assert lines[3:6] == ["! remark 0", "! remark 1", "! remark 2"]
    assert lines[6:] == ["2 more remarks stand in the report", "report: runs/x/report.html"]


def test_sets_end_with_their_weighted_total(capsys):
    total = share(0.75) | {"parts": [{"samples": 1200}, {"samples": 300}]}
    show_run(a_run({"orig": an_entry(0.8)}, total))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("set")
    assert " ".join(lines[2].split()) == "weighted 1,500 75.00% 65.0% to 80.0%"


def test_a_threshold_is_told_with_its_costs(capsys):
    found = {
        "threshold": 0.25, "positive": "rust", "chosen_on": "val", "miss_cost": 5.0, "false_alarm_cost": 1.0,
        "cost": {"value": 0.4, "low": 0.3, "high": 0.5}, "at_half": {"value": 0.6, "low": 0.5, "high": 0.7},
    }  # fmt: skip
    show_run(a_run({"test": an_entry(0.8, threshold=found)}))
    assert (
        "test: 'rust' above 0.250 (chosen on val; a missed one costs 5, a false alarm 1): 0.400 an image, "
        "0.300 to 0.500; at 0.5 it would be 0.600"
    ) in capsys.readouterr().out


def test_remarks_that_were_printed_already_are_not_printed_again(capsys):
    listener = ConsoleListener(Console(file=io.StringIO(), width=100), quiet=True)
    listener.message("one")
    listener.remarks(["one", "two"])
    listener.show_run(a_run({"test": an_entry(0.8)}))
    printed = capsys.readouterr().out
    assert "! two" in printed
    assert "one" not in printed


def test_spaces_that_do_not_break_are_shown_as_spaces():
    assert plain("33.3\xa0%\u2003of\u202fall\x1b[0m") == r"33.3 % of all\x1b[0m"

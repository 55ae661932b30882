"""Progress on a terminal, away from one, and with names full of markup."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from striate.cli import display
from striate.cli.display import ConsoleListener, show_data, show_predictions
from striate.training import EpochRecord, Progress

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
        "epoch 2/4   train loss 0.5000 accuracy 81.2%   val loss 0.6000 accuracy 79.0%   3.2 s   best" in text
    )
    assert "images/s" not in text
    assert "\x1b" not in text


def test_a_terminal_shows_the_rate_and_how_far_all_epochs_are():
    text = shown(terminal=True)
    assert "1,234 images/s" in text
    assert "13/40" in text


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


def test_predictions_and_counts_are_not_cut_in_a_pipe(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    name = "a folder/" + "long " * 40 + "name.png"
    table = pd.DataFrame({"image": [name], "predicted": ["[b]cat"], "probability": ["0.5"]})
    show_predictions(SimpleNamespace(table=table), None)
    counts = pd.DataFrame({"class": [name], "train": [7], "quarantined": [1]})
    show_data(SimpleNamespace(counts=counts, sizes=counts, figures=()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("  ")[:2] == [name, "[b]cat"]
    assert sum(line.startswith(name) for line in lines) == 3
    assert "quarantined" in lines[2]


def test_a_narrow_terminal_breaks_names_and_cuts_none(monkeypatch):
    buffer = io.StringIO()
    monkeypatch.setattr(display, "_result_console", lambda: Console(file=buffer, width=30))
    table = pd.DataFrame({"image": ["x" * 60], "predicted": ["cat"], "probability": ["0.5"]})
    show_predictions(SimpleNamespace(table=table), None)
    assert buffer.getvalue().count("x") == 60
    assert "…" not in buffer.getvalue()

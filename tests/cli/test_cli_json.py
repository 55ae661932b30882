"""`--log json`: one object a line on standard output, whatever happens."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import documents
import striate as package
from striate import cli
from striate.cli.json_lines import JsonListener, write
from striate.training import EpochRecord, Progress

EVENTS = {"stage", "epoch", "message", "result", "error"}


@pytest.fixture
def striate(capsys, monkeypatch, tmp_path):
    """Run a command in this process; return its status, its events, and what stands on standard error."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("STRIATE_TUNE_ALLOCATOR", "0")

    def run(*arguments: object) -> tuple[int, list[dict], str]:
        monkeypatch.setattr(sys, "argv", ["striate", *map(str, arguments), "--log", "json"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        events = [json.loads(line) for line in printed.out.splitlines()]
        assert {event["event"] for event in events} <= EVENTS
        return int(stop.value.code or 0), events, printed.err

    return run


@pytest.fixture
def stripes(write_stripes, tmp_path):
    return write_stripes(tmp_path / "stripes", {"across": 20, "down": 20})


def of_kind(events: list[dict], kind: str) -> list[dict]:
    return [event for event in events if event["event"] == kind]


def test_a_training_tells_epochs_and_its_result(striate, stripes):
    status, events, errors = striate(
        "train", stripes, "--model", "simple-cnn", "--epochs", 2, "--batch-size", 8, "--out", "run"
    )
    assert (status, errors) == (0, "")
    epochs = of_kind(events, "epoch")
    assert [(event["epoch"], event["epochs"]) for event in epochs] == [(1, 2), (2, 2)]
    history = package.Run("run").history()
    assert [event["val_loss"] for event in epochs] == pytest.approx(history["val_loss"].tolist())
    assert {type(event["best"]) for event in epochs} == {bool}
    assert {"training", "evaluating test"} <= {event["name"] for event in of_kind(events, "stage")}
    (result,) = of_kind(events, "result")
    assert events[-1] is not None
    assert events[-1]["event"] == "result"
    metrics = package.Run("run").metrics()
    assert result["metrics"]["test"]["accuracy"] == metrics["test"]["accuracy"]
    assert result["report"] == "run/report.html"
    assert result["stopped"] == "finished"
    assert any("test image" in remark for remark in result["remarks"])


def test_the_fields_of_every_event_are_documented(striate, stripes):
    _, events, _ = striate(
        "train", stripes, "--model", "simple-cnn", "--epochs", 1, "--batch-size", 99, "--out", "run"
    )
    assert of_kind(events, "error")
    _, more, _ = striate("train", stripes, "--model", "simple-cnn", "--epochs", 1, "--out", "run")
    listed = {documents.quoted(row[0])[0]: row[1] for row in documents.table("docs/console.md", "JSON lines")}
    assert set(listed) == EVENTS == {event["event"] for event in [*events, *more]}
    for event in [*events, *more]:
        name = event.pop("event")
        text = listed[name] if name != "result" else documents.section("docs/console.md", "JSON lines")
        assert set(event) <= set(documents.quoted(text)), name


def test_evaluate_predict_and_data_tell_their_results(striate, stripes, write_stripes, tmp_path):
    striate("train", stripes, "--model", "simple-cnn", "--epochs", 1, "--batch-size", 8, "--out", "run")
    others = write_stripes(tmp_path / "others", {"across": 5, "down": 6}, seed=1)
    status, events, _ = striate("evaluate", "run", "--set", f"a={others}:2", "--out", "sets")
    assert status == 0
    assert events[-1]["total"]["parts"][0]["samples"] == 11
    status, events, _ = striate("predict", "run", others / "down")
    assert status == 0
    predictions = events[-1]["predictions"]
    assert [Path(row["image"]).name for row in predictions] == [f"{n:03d}.png" for n in range(6)]
    assert all(0.5 <= row["probability"] <= 1 for row in predictions)
    status, events, _ = striate("predict", "run", others / "down", "--out", "table.csv")
    assert (events[-1]["out"], events[-1]["images"], events[-1]["predictions"]) == ("table.csv", 6, None)
    status, events, _ = striate("data", stripes, "--out", "drawn")
    assert [row["total"] for row in events[-1]["counts"]] == [20, 20]


def test_quiet_leaves_messages_and_the_result(striate, stripes):
    _, events, _ = striate(
        "train", stripes, "--model", "simple-cnn", "--epochs", 1, "--quiet", "--out", "run"
    )
    assert {event["event"] for event in events} <= {"message", "result"}
    assert of_kind(events, "message")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "no-such-data"], "no such path"),
        (["train", "digits", "--epoch", "3"], "No such option"),
        (["train", "digits", "--lr", "quick"], "lr is 'quick'"),
        (["evaluate"], "Missing argument"),
        (["evaluate", "nowhere"], "no run at nowhere"),
        (["predict", "nowhere", "x"], "no such image"),
    ],
)
def test_errors_are_events_too(striate, arguments, text):
    status, events, errors = striate(*arguments)
    assert (status, errors) == (2, "")
    assert events[-1]["event"] == "error"
    assert text in events[-1]["text"]
    assert events[-1]["status"] == 2
    assert os.listdir(".") == []


def test_a_failure_that_nobody_expected_is_an_event(striate, monkeypatch):
    monkeypatch.setattr("striate.workflows.train.train", lambda *_, **__: 1 / 0)
    status, events, _ = striate("train", "digits")
    assert status == 1
    assert "ZeroDivisionError" in events[-1]["text"]


def test_an_interruption_is_an_event(striate, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("striate.workflows.train.train", interrupt)
    status, events, _ = striate("train", "digits")
    assert status == 130
    assert of_kind(events, "error")[0]["text"] == "interrupted."


def test_what_a_library_prints_goes_elsewhere(capsys):
    with JsonListener(quiet=False) as listener:
        print("a library was here")
        listener.message("a message")
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"event": "message", "text": "a message"}
    assert printed.err == "a library was here\n"


def test_any_text_stays_on_one_line_and_any_number_is_json():
    stream = io.StringIO()
    text = "line\nbreak \u2028 \x1b[31m \ud800 </script>"
    write(stream, "message", text=text, numbers=[float("nan"), {"a": float("inf")}, 1.5])
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert json.loads(line) == {"event": "message", "text": text, "numbers": [None, {"a": None}, 1.5]}


def test_stages_are_told_when_they_begin_and_end_and_seldom_between(capsys):
    with JsonListener(quiet=False) as listener:
        for done in range(1, 5001):
            listener.stage("decoding", done, 5000)
        listener.batch(Progress(epoch=2, epochs=3, step=1, steps=10, images_per_second=50.0))
        listener.epoch(EpochRecord(1, 0.1, float("nan"), 0.5, None, None, True, 1.0, 9.0), 3)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stages = [event for event in events if event.get("name") == "decoding"]
    assert [event["done"] for event in (stages[0], stages[-1])] == [1, 5000]
    assert len(stages) < 20
    assert events[-2] == {
        "event": "stage", "name": "training", "done": 11, "total": 30, "images_per_second": 50.0,
    }  # fmt: skip
    assert events[-1]["train_loss"] is None
    assert events[-1]["val_loss"] is None


def test_a_script_can_read_every_line_of_a_real_process(stripes, tmp_path):
    command = [sys.executable, "-m", "striate", "data", str(stripes), "--out", str(tmp_path / "drawn")]
    done = subprocess.run([*command, "--log=json"], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "result"
    assert done.stderr == ""

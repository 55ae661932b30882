"""`striate bench conv` as a user meets it."""

from __future__ import annotations

import json
import os
import sys

import pytest

from striate import cli

RACE = ["bench", "conv", "--shape", "2,3,8,8", "--out-channels", "4", "--padding", "1", "--runs", "1"]
RACE += ["--no-torch", "--algorithms", "im2col,shifted,loops"]


@pytest.fixture
def striate(capsys, monkeypatch, tmp_path):
    """Run a command in this process; return exit status, output and messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIATE_TUNE_ALLOCATOR", "0")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["striate", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return run


def test_a_race_prints_a_row_for_each_contender_and_writes_nothing_unasked(striate):
    status, out, err = striate(*RACE, "--quiet")
    assert (status, err) == (0, "")
    assert "2 images of 3x8x8, 4 kernels of 3x3, padding 1x1, float32 (13,824 multiply-adds" in out
    for name in ("im2col", "shifted", "loops"):
        assert any(line.startswith(name) and len(line.split()) >= 8 for line in out.splitlines())
    assert os.listdir() == []


def test_out_names_the_folder_of_table_and_chart(striate):
    status, out, _ = striate(*RACE, "--out", "race", "--quiet")
    assert status == 0
    assert sorted(os.listdir("race")) == ["conv.csv", "conv.png", "conv.svg", "environment.json"]
    assert "race/conv.png" in out


def test_a_race_is_told_as_json_lines(striate):
    status, out, _ = striate(*RACE, "--log", "json")
    assert status == 0
    *stages, result = map(json.loads, out.splitlines())
    assert {line["event"] for line in stages} == {"stage"}
    assert result["event"] == "result"
    assert {row["algorithm"] for row in result["contenders"]} == {"im2col", "shifted", "loops"}
    assert all(row["forward_seconds"] > 0 for row in result["contenders"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--shape", "2,3,8"], "shape is '2,3,8': expected four numbers, as in 256,3,32,32."),
        (["--kernel", "11"], "no larger than the padded input"),
        (["--algorithms", "winogrd"], "did you mean 'winograd'?"),
    ],
)
def test_a_mistake_gives_one_clear_line_and_status_2(striate, arguments, text):
    status, out, err = striate(*RACE, *arguments)
    assert (status, out) == (2, "")
    assert text in err
    assert len(err.splitlines()) == 1


TRAINING = ["bench", "train", "digits", "--model", "mlp", "--steps", "2", "--precision", "32"]


def test_the_parts_of_a_training_step_are_printed(striate):
    status, out, err = striate(*TRAINING, "--quiet")
    assert (status, err) == (0, "")
    rows = [line.split()[0] for line in out.splitlines()[1:10]]
    assert rows[:4] == ["decode", "augment", "normalize", "transfer"]
    assert "images/s: mlp, means over the middle half of 2 steps of 64 images." in out
    assert "Largest waste: " in out
    assert os.listdir() == []


def test_the_parts_of_a_training_step_are_told_as_json(striate):
    status, out, _ = striate(*TRAINING, "--log", "json")
    assert status == 0
    result = json.loads(out.splitlines()[-1])
    assert result["event"] == "result"
    assert sum(result["parts"].values()) == pytest.approx(result["seconds"])
    assert set(result["waste"]) == {"part", "seconds", "share", "advice"}


def test_a_batch_larger_than_the_data_ends_the_measurement_with_status_2(striate):
    status, out, err = striate(*TRAINING, "--batch-size", "5000")
    assert (status, out) == (2, "")
    assert "5000" in err.splitlines()[-1]

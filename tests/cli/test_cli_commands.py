"""The commands as a user meets them: exit status, what is printed, what is left on disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from striate import __version__, cli


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def striate(capsys, monkeypatch, tmp_path):
    """Run a command in this process, in an empty working folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("STRIATE_TUNE_ALLOCATOR", "0")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["striate", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def stripes(write_stripes, tmp_path):
    return write_stripes(tmp_path / "stripes", {"across": 20, "down": 20})


FAST = ("--model", "simple-cnn", "--epochs", 2, "--batch-size", 8, "--quiet")


def assert_refused(outcome: Outcome, *texts: str) -> None:
    """One clear message, exit status 2, nothing on standard output, nothing left in the working folder."""
    assert outcome.status == 2, outcome
    for text in texts:
        assert text in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.strip().splitlines()) <= 2
    assert outcome.out == ""
    assert os.listdir(".") == []


def test_help_lists_the_commands(striate):
    outcome = striate("--help")
    assert outcome.status == 0
    for command in ("train", "evaluate", "predict", "summary", "data"):
        assert command in outcome.out


def test_version_is_that_of_the_package(striate):
    outcome = striate("--version")
    assert (outcome.status, outcome.out) == (0, f"striate {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["summary", "mynet"]])
def test_help_and_summary_load_nothing_heavy(arguments):
    code = (
        "import sys; from striate.cli import run; "
        f"run({arguments}); "
        "heavy = {'torch', 'torchvision', 'lightning', 'pandas', 'sklearn', 'matplotlib'}; "
        "heavy &= set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_train_evaluate_and_predict_on_a_folder(striate, stripes, write_stripes, tmp_path):
    trained = striate("train", stripes, *FAST, "--out", "run")
    assert trained.status == 0, trained.err
    assert "report: run/report.html" in trained.out
    assert "test" in trained.out

    others = write_stripes(tmp_path / "others", {"across": 7, "down": 8}, seed=1)
    evaluated = striate("evaluate", "run", others, "--out", "again", "--quiet")
    assert evaluated.status == 0, evaluated.err
    assert len(pd.read_csv("again/predictions-test.csv")) == 15

    predicted = striate("predict", "run/model", stripes / "down", "--out", "predictions.csv", "--quiet")
    assert predicted.status == 0, predicted.err
    table = pd.read_csv("predictions.csv", dtype=str)
    assert len(table) == 20
    assert set(table["predicted"]) <= {"across", "down"}


def test_the_report_is_made_anew_without_data(striate, stripes):
    striate("train", stripes, *FAST, "--out", "run")
    before = Path("run/metrics.json").read_text()
    Path("run/metrics.json").unlink()
    Path("run/report.html").unlink()
    assert striate("evaluate", "run").status == 0
    assert Path("run/metrics.json").read_text() == before
    assert Path("run/report.html").is_file()


def test_data_counts_and_draws(striate, stripes):
    outcome = striate("data", stripes, "--out", "drawn", "--class", "down", "--augment", "photo")
    assert outcome.status == 0, outcome.err
    assert "across" in outcome.out
    drawn = {path.name for path in Path("drawn").glob("*.png")}
    assert drawn == {"class-balance.png", "image-sizes.png", "samples-of-class.png", "augmentation.png"}


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["--model", "custm-cnn"], ["unknown model 'custm-cnn'", "did you mean 'custom-cnn'?"]),
        (["--schedule", "cosin"], ["unknown schedule 'cosin'", "did you mean 'cosine'?"]),
        (["--augment", "flips"], ["unknown augment 'flips'", "flip-crop"]),
        (["--lr", "quick"], ["lr is 'quick'", "a valid number"]),
        (["--lr", "nan"], ["lr is 'nan'"]),
        (["--batch-size", "64"], ["batch size 64 is larger than the 28 training images"]),
        (["--classes", "acros,down"], ["unknown class 'acros'", "did you mean 'across'?"]),
        (["--classes", "down"], ["one class"]),
        (["--model-option", "hidden"], ["expected KEY=VALUE"]),
        (["--model-option", "hiden=3", "--model", "simple-cnn"], ["hiden", "did you mean 'hidden'?"]),
        (["--image-size", "4", "--model", "cats-cnn"], ["conv"]),
        (["--loss", "bce"], ["loss"]),
        (["--device", "cuda"], ["--device cuda is not available"]),
        (["--out", "/proc/striate"], ["/proc"]),
        (["--resume", "nowhere"], ["no run at nowhere"]),
        (["--config", "nowhere.yaml"], ["cannot read settings from nowhere.yaml"]),
    ],
)
def test_train_refuses_what_cannot_be(striate, stripes, options, texts):
    assert_refused(striate("train", stripes, *options, "--quiet"), *texts)


def test_train_refuses_paths_and_folders_without_images(striate, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_refused(striate("train", tmp_path / "none"), "none")
    assert_refused(striate("train", empty), "empty")
    assert_refused(striate("train", "mnits"), "Did you mean 'mnist'?")


def test_train_refuses_one_class_and_a_class_of_one_image(striate, write_stripes, tmp_path):
    assert_refused(striate("train", write_stripes(tmp_path / "one", {"down": 9})), "down")
    lonely = write_stripes(tmp_path / "lonely", {"across": 9, "down": 1})
    assert_refused(striate("train", lonely), "down")


def test_train_refuses_a_table_without_its_columns_or_files(striate, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,class\na.png,x\n")
    assert_refused(striate("train", table), "image", "label")
    table.write_text("image,label\na.png,x\nb.png,y\n")
    assert_refused(striate("train", table), "a.png")


def test_train_refuses_a_zip_that_leaves_its_folder(striate, stripes, tmp_path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in stripes.rglob("*.png"):
            file.write(path, path.relative_to(stripes))
        file.writestr("../outside.png", b"x")
    assert_refused(striate("train", archive), "../outside.png")
    assert not (tmp_path / "outside.png").exists()


def test_evaluate_and_predict_refuse_what_cannot_be(striate, stripes, tmp_path):
    assert_refused(striate("predict", "nowhere", stripes), "nowhere")
    assert_refused(striate("evaluate", "nowhere", stripes), "nowhere")
    pickled = tmp_path / "model.pt"
    pickled.write_bytes(b"x")
    assert_refused(striate("predict", pickled, stripes), "pickle")


def test_an_unknown_option_is_refused_with_the_nearest(striate):
    outcome = striate("train", "digits", "--epoch", 3)
    assert outcome.status == 2
    assert "--epochs" in outcome.err


def test_a_traceback_is_shown_only_with_debug(striate):
    assert "Traceback" not in striate("train", "no-such-data").err
    assert "Traceback" in striate("train", "no-such-data", "--debug").err


def test_a_file_that_goes_while_it_is_used_is_named(striate, stripes, monkeypatch):
    def lose(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "run/history.csv")

    monkeypatch.setattr("striate.workflows.train.Training.prepare", lose)
    outcome = striate("train", stripes, *FAST)
    assert outcome.status == 1
    assert "run/history.csv: No such file or directory" in outcome.err
    assert "should not happen" not in outcome.err


def test_output_holds_no_colour_codes_away_from_a_terminal(striate, stripes):
    outcome = striate("train", stripes, *FAST[:-1], "--out", "run")
    assert "\x1b" not in outcome.out + outcome.err
    assert "epoch 2/2" in outcome.err


def test_several_sets_are_evaluated_and_weighed(striate, stripes, write_stripes, tmp_path):
    striate("train", stripes, *FAST, "--out", "run")
    odd = write_stripes(tmp_path / "a=b:0.5", {"across": 4, "down": 5}, seed=1)
    outcome = striate(
        "evaluate", "run", "--set", f"new={odd}:0.5", "--set", f"orig={stripes}:1.5", "--out", "sets", "-q"
    )
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["set", "new", "orig", "weighted"]
    assert lines[1].split()[1] == "9"
    assert "weights add up to 2" in Path("sets/report.html").read_text()
    assert {"predictions-new.csv", "predictions-orig.safetensors"} <= set(os.listdir("sets"))


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["--set", "stripes"], ["expected NAME=DATA"]),
        (["--set", "=stripes"], ["expected NAME=DATA"]),
        (["--set", "a="], ["expected NAME=DATA"]),
        (["--set", "a=../stripes:1", "--set", "a=../stripes:2"], ["a is given twice"]),
        (["--set", "a=../stripes:0"], ["expected a positive number"]),
        (["--set", "a=../stripes:-1"], ["expected a positive number"]),
        (["--set", "a=../stripes:nan"], ["expected a positive number"]),
        (["--set", "a=../stripes:much"], ["no such path: '../stripes:much'"]),
        (["--set", "a=nowhere:0.5"], ["no such path: 'nowhere'"]),
        (["--set", "a/b=../stripes"], ["cannot be the name of a set"]),
        (["../stripes", "--set", "a=../stripes"], ["both given"]),
        (["--set", "a=../stripes:1", "--set", "b=../stripes"], ["'b' has no weight"]),
    ],
)
def test_sets_that_make_no_sense_are_refused(striate, stripes, options, texts):
    assert_refused(striate("evaluate", "no-model", *options), *texts)


def test_costs_choose_a_threshold(striate, stripes):
    striate("train", stripes, *FAST, "--out", "run")
    outcome = striate("evaluate", "run", "--costs", "5,1")
    assert outcome.status == 0, outcome.err
    assert "(chosen on val; a missed one costs 5, a false alarm 1)" in outcome.out
    for costs in ("5", "5,x", "-5,1", ""):
        refused = striate("evaluate", "run", "--costs", costs)
        assert refused.status == 2
        assert "expected two numbers" in refused.err


def test_names_that_would_steer_a_terminal_do_not_in_errors(striate):
    outcome = striate("evaluate", "no\x1b[2Jrun")
    assert outcome.status == 2
    assert "\x1b" not in outcome.err


def test_the_bare_command_shows_the_help(striate):
    found = striate()
    assert "Usage: striate" in found.out + found.err
    assert "this should not happen" not in found.err

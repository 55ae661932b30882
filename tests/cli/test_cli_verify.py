"""`striate verify` as a user meets it: the tables, the verdict, the exit status."""

from __future__ import annotations

import json
import re
import sys

import pytest

import documents
from striate import cli
from striate.engine import functional
from striate.engine.layers import learned


@pytest.fixture
def striate(capsys, monkeypatch, tmp_path):
    """Run a command in this process; return its status and what stands on standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIATE_TUNE_ALLOCATOR", "0")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["striate", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def stripes(write_stripes, tmp_path):
    return write_stripes(tmp_path / "stripes", {"across": 12, "down": 12})


@pytest.fixture
def wrong_backward(monkeypatch):
    right = functional.conv2d_backward

    def wrong(grad, x, weight, *arguments, **options):
        return right(grad, x, weight[:, :, ::-1, ::-1].copy(), *arguments, **options)

    monkeypatch.setattr(learned.F, "conv2d_backward", wrong)


QUICK = ("--batch-size", 8, "--steps", 2, "--quiet")


def test_a_right_network_passes_with_a_table_a_mode_and_the_losses(striate, stripes):
    status, out, err = striate("verify", "simple-cnn", stripes, *QUICK)
    assert (status, err) == (0, "")
    assert out.startswith("simple-cnn: 8 images 3 x 12 x 12 of stripes, float64")
    for layer in ("conv1", "relu1", "conv2", "pool1", "flatten1", "linear1"):
        assert len(re.findall(rf"^{layer} ", out, re.MULTILINE)) == 2, layer
    assert "evaluation mode" in out
    assert "training mode" in out
    assert re.search(r"^ +2 +[\d.]+ +[\d.]+ +\d\.\de[-+]\d\d", out, re.MULTILINE)
    assert out.rstrip().splitlines()[-1].startswith("PASS: no relative difference above 1e-10")


def test_a_wrong_layer_fails_by_name_with_status_1(striate, stripes, wrong_backward):
    status, out, err = striate("verify", "simple-cnn", stripes, *QUICK)
    assert (status, err) == (1, "")
    assert "FAIL: first departure: conv2 (conv2d), evaluation: its input gradient differs by" in out
    assert "Look at the backward pass of this layer" in out


def test_options_reach_the_comparison(striate, stripes):
    options = ("--dtype", "float32", "--tolerance", "0.01", "--model-option", "hidden=3", "--image-size", 10)
    status, out, _ = striate("verify", "simple-cnn", stripes, *options, *QUICK)
    assert status == 0
    assert "3 x 10 x 10" in out
    assert "float32" in out
    assert "PASS: no relative difference above 0.01" in out


@pytest.mark.parametrize("right", [True, False])
def test_json_tells_the_verdict_and_every_layer(striate, stripes, right, request):
    if not right:
        request.getfixturevalue("wrong_backward")
    status, out, err = striate("verify", "simple-cnn", stripes, *QUICK, "--log", "json")
    assert (status, err) == (0 if right else 1, "")
    (result,) = [json.loads(line) for line in out.splitlines()]
    assert (result["event"], result["passed"], result["model"]) == ("result", right, "simple-cnn")
    assert len(result["layers"]) == 2 * 7 + 1
    assert len(result["losses"]) == 2
    if right:
        assert result["first_departure"] is None
    else:
        assert result["first_departure"]["layer"] == "conv2"
        assert "differs by" in result["first_departure"]["text"]
    described = set(documents.quoted(documents.section("docs/console.md", "JSON lines")))
    assert set(result) - {"event"} <= described


def test_mistakes_end_with_status_2_in_a_line(striate):
    status, out, err = striate("verify", "mynet")
    assert (status, out) == (2, "")
    assert "verify mynet needs images: expected DATA" in err
    status, _, err = striate("verify", "mynett", "digits")
    assert status == 2
    assert "did you mean 'mynet'" in err


def test_every_option_of_its_own_is_documented():
    rows = documents.table("docs/verify.md", "What is compared", 1)
    listed = {option for row in rows for option in documents.quoted(row[0])}
    assert {"--batch-size", "--steps", "--dtype", "--tolerance", "--optimizer", "--lr", "--seed"} <= listed


@pytest.mark.slow
def test_the_commands_of_the_page_pass(striate, write_stripes, tmp_path):
    write_stripes(tmp_path / "photos", {"cat": 12, "dog": 12}, side=16)
    commands = documents.commands("docs/verify.md")
    assert ["verify", "lite0"] in commands  # takes a minute; `test_workflows_verify` runs it in float32
    for arguments in commands:
        if "lite0" not in arguments:
            assert striate(*arguments, "--quiet")[0] == 0, arguments


def test_gradients_of_the_whole_engine_are_checked_and_a_wrong_one_is_named(striate, monkeypatch):
    status, out, _ = striate("verify", "--gradcheck", "--quiet")
    assert status == 0
    assert re.search(r"^kernel-not-flipped +gradcheck +caught$", out, re.MULTILINE)
    assert re.search(r"PASS: (\d+) of \1 gradients are right, (\d+) of \2 mistakes were caught\.", out)
    monkeypatch.setattr(functional, "tanh_backward", lambda g, x, saved=None: g * saved)
    status, out, _ = striate("verify", "--gradcheck", "--quiet")
    assert status == 1
    assert re.search(r"^tanh +30 +\S+ +WRONG$", out, re.MULTILINE)
    assert "FAIL  gradient check of Tanh" in out
    status, out, _ = striate("verify", "--gradcheck", "--log", "json", "--quiet")
    told = json.loads(out)
    assert status == 1
    assert told["gradients"]["tanh"]["passed"] is False
    assert told["exercises"]["ties-to-all"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gradcheck", "mynet"), "leave out MODEL"),
        ((), "expected MODEL and DATA"),
    ],
)
def test_what_is_asked_of_verify_must_fit_together(striate, arguments, message):
    status, out, err = striate("verify", *arguments)
    assert status == 2
    assert message in err
    assert out == ""

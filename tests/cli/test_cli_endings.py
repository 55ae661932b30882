"""How a process of the command line ends: stopped by a signal, or with nowhere to write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STARTED = """
import os, signal, sys
from striate import cli
from striate.training import array_session

def stop(*_, **__):
    os.kill(os.getpid(), signal.{signal})
    if "{place}" == "striate.workflows.train.train":
        while True:
            pass

if "{place}" == "epochs":
    first = array_session.Progress
    array_session.Progress = lambda *values: (stop(), first(*values))[1]
else:
    import striate.workflows.train
    {place} = stop
sys.argv = ["striate", *sys.argv[1:]]
cli.main()
"""


def ended(folder: Path, number: str, place: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A training that is sent a signal, before or while its epochs run."""
    words = "train photos --model mlp --epochs 1 --batch-size 8 --engine numpy --out run --quiet"
    script = STARTED.format(signal=number, place=place)
    command = [sys.executable, "-c", script, *words.split(), *more]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("number", "status", "text"), [("SIGTERM", 143, "terminated."), ("SIGINT", 130, "interrupted.")]
)
def test_a_signal_outside_the_epochs_leaves_a_line_and_nothing_else(tmp_path, number, status, text):
    done = ended(tmp_path, number, "striate.workflows.train.train")
    assert (done.returncode, done.stderr) == (status, f"striate: {text}\n")
    assert os.listdir(tmp_path) == []
    done = ended(tmp_path, number, "striate.workflows.train.train", "--log", "json")
    assert (done.returncode, done.stderr) == (status, "")
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == {
        "event": "error",
        "kind": "KeyboardInterrupt",
        "text": text,
        "status": status,
    }


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_during_the_epochs_is_the_exit_status(tmp_path, write_stripes, number):
    write_stripes(tmp_path / "photos", {"across": 12, "down": 12})
    done = ended(tmp_path, number, "epochs")
    assert done.returncode == 128 + getattr(signal, number), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("more", [[], ["--log", "json"]])
def test_standard_output_that_cannot_be_written_is_named_in_a_line(tmp_path, write_stripes, more):
    write_stripes(tmp_path / "photos", {"across": 4, "down": 4})
    command = [sys.executable, "-m", "striate", "data", "audit", "photos", "--out", "h", "--quiet", *more]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "striate: cannot write standard output: No space left on device.\n"

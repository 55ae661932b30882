"""The help of the commands says what the settings say."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from striate.cli import run
from striate.config import TrainConfig
from striate.data.augment import PRESETS


@pytest.mark.parametrize(
    ("option", "default"),
    [
        (f"--{name.replace('_', '-')}", str(field.default))
        for name, field in TrainConfig.model_fields.items()
        if isinstance(field.default, str | int | float) and not isinstance(field.default, bool)
    ],
)
def test_help_shows_the_default_of_every_setting_that_has_one(option, default, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert run(["train", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if re.match(rf"\W*{option}\s", line)]
    assert f"[{default}]" in line


@pytest.mark.parametrize("command", ["data", "data augment"])
def test_every_augmentation_is_named(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert run([command, "--help"]) == 0
    assert f"{'|'.join(PRESETS)} " in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "encoding"), [("60", "utf-8"), ("60", "ascii"), ("100", "ascii")])
def test_narrow_or_plain_terminals_get_help_with_whole_names(columns, encoding):
    environment = {**os.environ, "COLUMNS": columns, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "striate", "train", "--help"]
    shown = subprocess.run(command, capture_output=True, env=environment, check=True).stdout.decode(encoding)
    assert "…" not in shown
    assert "\\[" not in shown
    for name in TrainConfig.model_fields.keys() - {"data", "model_options"}:
        assert f"--{name.replace('_', '-')}" in shown

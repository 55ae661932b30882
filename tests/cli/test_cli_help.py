"""The help of the commands says what the settings say."""

from __future__ import annotations

import re

import pytest

from striate.cli import run
from striate.config import TrainConfig


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

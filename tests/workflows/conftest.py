"""What several tests of workflows share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from striate.runs import Run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A copy of the module's `trained`, a folder with `run` and its data, at a place of its own."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "run" / "config.yaml"
    file.write_text(file.read_text().replace(str(trained), str(tmp_path)))
    return Run(tmp_path / "run")

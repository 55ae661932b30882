"""Figures that a second process draws are those that the first would have drawn."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest

import striate
from striate.runs import Run
from striate.workflows import drawing, exports, results
from striate.workflows.drawing import DrawingProcess

pytestmark = pytest.mark.usefixtures("with_figures")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run with the figures of its two splits, drawn by one process; half of the images of a class each."""
    from PIL import Image

    root = tmp_path_factory.mktemp("drawing")
    generator = np.random.Generator(np.random.PCG64(0))
    for number in range(40):
        path = root / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    settings = {"model": "simple-cnn", "epochs": 1, "batch_size": 8, "engine": "numpy", "audit": False}
    striate.train(root / "data", out=root / "run", **settings)
    return Run(root / "run")


def drawn(run):
    return {path.name: path.read_bytes() for path in sorted(run.figures.iterdir())}


def draw_anew(run, process, monkeypatch):
    """Return the figures, and which splits this process drew."""
    for path in run.figures.iterdir():
        path.unlink()
    own = []
    write = exports.write_figures_of_split
    monkeypatch.setattr(
        exports, "write_figures_of_split", lambda *parts: own.append(parts[2]) or write(*parts)
    )
    results.write_results(run, beside=DrawingProcess(process))
    return drawn(run), own


def test_a_second_process_draws_the_same_figures(run, monkeypatch):
    before = drawn(run)
    assert draw_anew(run, drawing._launch(), monkeypatch) == (before, [])


def test_figures_are_drawn_here_where_the_second_process_fails(run, monkeypatch):
    before = drawn(run)
    code = "import sys; sys.stdin.readline(); sys.exit(3)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert draw_anew(run, process, monkeypatch) == (before, ["val", "test"])


def test_a_process_that_has_ended_takes_no_task(run):
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    process.wait()
    assert not DrawingProcess(process).draw(run)


def test_a_process_that_is_not_needed_is_ended(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setattr(drawing, "_get_ready", lambda: None)
    with DrawingProcess.start(wanted=True) as beside:
        process = beside.process
        assert process is not None
    assert process.poll() is not None


def test_no_process_is_started_where_matplotlib_is_there():
    import matplotlib  # noqa: F401

    with DrawingProcess.start(wanted=True) as beside:
        assert beside.process is None
        assert not beside.succeeded()


def test_no_process_is_started_for_figures_that_nobody_wants(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    with DrawingProcess.start(wanted=False) as beside:
        assert beside.process is None
        assert not beside.succeeded()


def task(run) -> str:
    return json.dumps({"run": str(run.folder)}) + "\n"


def as_program(run) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "striate.workflows.drawing"]
    return subprocess.run(command, check=False, input=task(run), capture_output=True, text=True, timeout=120)


def test_the_program_draws_what_a_line_names(run):
    before = drawn(run)
    for path in run.figures.iterdir():
        path.unlink()
    assert as_program(run).returncode == 0
    assert drawn(run) == before


def test_the_program_draws_the_same_where_it_does_not_fork(run, monkeypatch):
    before = drawn(run)
    for path in run.figures.iterdir():
        path.unlink()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sys, "stdin", io.StringIO(task(run)))
    drawing.main()
    assert drawn(run) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only there the program forks")
def test_the_program_fails_where_its_other_half_does(run):
    hidden = run.curves_file("test")
    content = hidden.read_bytes()
    hidden.unlink()
    try:
        done = as_program(run)
    finally:
        hidden.write_bytes(content)
    assert done.returncode != 0
    assert "half of the figures" in done.stderr

"""Figures drawn by a second process, started ahead: importing matplotlib takes as long as some of them.

    with DrawingProcess.start(config.figures) as beside:
        ...  # what has to be done first; the other process gets ready meanwhile
        beside.draw(run)
        ...  # what needs no figures
        beside.succeeded() or write_figures(run, run.metrics())

As a program, `python -m striate.workflows.drawing` reads one line, the run as JSON, and draws. Being ready,
it forks on Linux, and each half draws the figures of every second split.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from striate.runs import Run

SECONDS = 60
"""The second process is waited for so long; then the first draws itself."""


class DrawingProcess:
    """A process that draws the figures of a run.

    Args:
        process: which waits for its task, or None: then nobody draws.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self.process = process

    @classmethod
    @contextmanager
    def start(cls, wanted: bool) -> Iterator[DrawingProcess]:
        """Start it if figures are `wanted` and time is saved: with two cores, and matplotlib not here yet."""
        worthwhile = (os.cpu_count() or 1) > 1 and "matplotlib" not in sys.modules
        process = _launch() if wanted and worthwhile else None
        try:
            yield cls(process)
        finally:
            if process is not None:
                _end(process)

    def draw(self, run: Run) -> bool:
        """Hand over the figures of `run`, which has its tables; return whether somebody draws them."""
        if self.process is None or self.process.stdin is None:
            return False
        task = json.dumps({"run": str(run.folder.resolve())}) + "\n"
        try:
            self.process.stdin.write(task.encode())
            self.process.stdin.close()
        except OSError:  # it has ended
            return False
        return True

    def succeeded(self) -> bool:
        """Wait, and return whether the figures are there."""
        if self.process is None:
            return False
        try:
            return self.process.wait(SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False


def _launch() -> subprocess.Popen[bytes] | None:
    command = [sys.executable, "-m", "striate.workflows.drawing"]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # it multiplies nothing, and forks
            start_new_session=True,  # Ctrl-C is for the first process, which may still want its figures
        )
    except OSError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was given nothing to draw, or does not come to an end."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
        process.kill()
    elif process.poll() is None:
        process.kill()
    process.wait()


def _get_ready() -> None:
    """Import what draws, and load its fonts, ahead of the task."""
    import pandas as pd  # noqa: F401

    from striate.evaluation.figures import style
    from striate.workflows import exports  # noqa: F401

    figure = style.new_figure(1, 1)
    figure.subplots().set_title("0", fontweight="bold")
    style.png(figure)
    style.svg(figure)


def main() -> None:
    """Get ready, read the task, and draw.

    Raises:
        OSError: the other half of this process could not draw its share.
    """
    _get_ready()
    gc.disable()  # a figure is thousands of objects, and the process ends with them
    try:
        _carry_out(sys.stdin.readline())
    finally:
        gc.enable()


def _carry_out(line: str) -> None:
    """Draw what `line` says; where it is empty, nothing."""
    from striate.runs import Run

    if not line:
        return
    run = Run.open(Path(json.loads(line)["run"]))
    splits = list(run.splits())
    if sys.platform != "linux" or len(splits) == 1:
        _draw(run, splits, training=True)
        return
    other = os.fork()
    if other == 0:
        _draw_and_exit(run, splits[1::2])
    _draw(run, splits[::2], training=True)
    if os.waitpid(other, 0)[1]:
        raise OSError("half of the figures could not be drawn")


def _draw(run: Run, splits: Sequence[str], training: bool) -> None:
    from striate.workflows.exports import write_figures_of_split, write_figures_of_training

    metrics = run.metrics()
    if training:
        write_figures_of_training(run, metrics)
    for split in splits:
        write_figures_of_split(run, metrics, split)


def _draw_and_exit(run: Run, splits: Sequence[str]) -> NoReturn:
    """End as the half that was forked: what it shares with the other is left to that one."""
    status = 1
    try:
        _draw(run, splits, training=False)
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()

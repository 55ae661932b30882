"""Figures drawn by a second process, started ahead: importing matplotlib takes as long as some of them.

    with DrawingProcess.start() as beside:
        ...  # what has to be done first; the other process gets ready meanwhile
        write_figures(run, metrics, context, beside)

As a program, `python -m striate.workflows.drawing` reads one line, the run and the split as JSON, and draws.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.runs import Run

SECONDS = 60
"""The second process is waited for so long; then the first draws itself."""


class DrawingProcess:
    """A process that draws the figures of one split.

    Args:
        process: which waits for its task, or None: then nobody draws.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self.process = process

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[DrawingProcess]:
        """Start it where that saves time: with a second core, and if matplotlib is not imported here yet.

        It is imported here too, in a thread, for the figures that are left to this process.
        """
        worthwhile = (os.cpu_count() or 1) > 1 and "matplotlib" not in sys.modules
        process = _launch() if worthwhile else None
        if worthwhile:
            threading.Thread(target=_get_ready, daemon=True).start()
        try:
            yield cls(process)
        finally:
            if process is not None:
                _end(process)

    def draw(self, run: Run, split: str) -> bool:
        """Hand over the figures of `split`; return whether there is somebody to draw them."""
        if self.process is None or self.process.stdin is None:
            return False
        task = json.dumps({"run": str(run.folder.resolve()), "split": split}) + "\n"
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
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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
    """Import what draws, ahead of the task."""
    from striate.evaluation import figures  # noqa: F401


def main() -> None:
    """Get ready, read the task, and draw."""
    _get_ready()
    from striate.runs import Run
    from striate.workflows.exports import write_figures_of_split

    line = sys.stdin.readline()
    if line:
        task = json.loads(line)
        run = Run.open(Path(task["run"]))
        write_figures_of_split(run, run.metrics(), task["split"])


if __name__ == "__main__":
    main()

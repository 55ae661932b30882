"""The command line: parse, call a workflow, print.

Nothing heavy is imported before a command needs it, so that `striate --help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import traceback
from collections.abc import Sequence

from striate.cli.stopping import InterruptError, Termination
from striate.errors import StriateError

__all__ = ["main"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_INTERRUPTED, _TERMINATED = 130, 143


def main() -> None:
    """Run the command in `sys.argv` and end the process with its exit status."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    as_json = _wants_json(arguments)
    with Termination() as termination:
        try:
            status = run(arguments, as_json=as_json)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            sys.stderr.close()
            status = 1
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a line for all; the rest with --debug
            if debug:
                traceback.print_exc()
            status = _tell(error, as_json, termination.requested)
    _leave_output()
    sys.exit(_TERMINATED if termination.requested and status == _INTERRUPTED else status)


def run(arguments: list[str], *, as_json: bool = False) -> int:
    """Run a command and return its exit status; errors are raised.

    Args:
        arguments: of the command line.
        as_json: arguments that cannot be parsed raise an error too, and print nothing.
    """
    from striate.cli.app import app

    try:
        status = app(args=arguments, prog_name="striate", standalone_mode=not as_json)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except InterruptError as error:
        raise KeyboardInterrupt from error
    return status if isinstance(status, int) else 0


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = itertools.pairwise([*arguments, ""])
    return any(first == "--log=json" or (first, second) == ("--log", "json") for first, second in pairs)


def _tell(error: BaseException, as_json: bool, terminated: bool) -> int:
    """Print what went wrong; return the exit status."""
    text, status = ("terminated.", _TERMINATED) if terminated else _explain(error)
    if not (as_json and _is_told_as_json(type(error).__name__, text, status)):
        from striate.cli.text import plain

        print("\n".join(f"striate: {line}" for line in plain(text).split("\n")), file=sys.stderr)
    return status


def _is_told_as_json(kind: str, text: str, status: int) -> bool:
    """Write the event `error`; return whether standard output could be written."""
    from striate.cli import json_lines

    try:
        json_lines.write(sys.stdout, "error", kind=kind, text=text, status=status)
    except OSError:
        return False
    return True


def _leave_output() -> None:
    """Let what cannot be written to standard output go nowhere: Python would try it again as it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: BaseException) -> tuple[str, int]:
    """Return what to say about `error`, and the exit status."""
    if isinstance(error, StriateError):
        return str(error), error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted.", _INTERRUPTED
    if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
        return f"cannot write standard output: {error.strerror}.", 1  # errors of files name theirs
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # arguments that cannot be parsed
        return str(error.format_message()), int(error.exit_code)
    if isinstance(error, OSError) and error.filename is not None:  # deleted or locked while it was in use
        return f"cannot use {error.filename}: {error.strerror}. Run it again with --debug to see where.", 1
    return (
        f"{type(error).__name__}: {error}\n"
        "this should not happen; run it again with --debug and report the traceback.",
        1,
    )

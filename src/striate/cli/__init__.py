"""The command line: parse, call a workflow, print.

Nothing heavy is imported before a command needs it, so that `striate --help` answers at once.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Sequence

from striate.errors import StriateError

__all__ = ["main"]


def main() -> None:
    """Run the command in `sys.argv` and end the process with its exit status."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    as_json = _wants_json(arguments)
    try:
        status = run(arguments, as_json=as_json)
    except BrokenPipeError:
        sys.stderr.close()
        status = 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a line for all; the rest with --debug
        if debug:
            traceback.print_exc()
        status = _tell(error, as_json)
    sys.exit(status)


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
    return status if isinstance(status, int) else 0


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = itertools.pairwise([*arguments, ""])
    return any(first == "--log=json" or (first, second) == ("--log", "json") for first, second in pairs)


def _tell(error: BaseException, as_json: bool) -> int:
    """Print what went wrong; return the exit status."""
    text, status = _explain(error)
    if as_json:
        from striate.cli import json_lines

        json_lines.write(sys.stdout, "error", kind=type(error).__name__, text=text, status=status)
    else:
        from striate.cli.text import plain

        print("\n".join(f"striate: {line}" for line in plain(text).split("\n")), file=sys.stderr)
    return status


def _explain(error: BaseException) -> tuple[str, int]:
    """Return what to say about `error`, and the exit status."""
    if isinstance(error, StriateError):
        return str(error), error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted.", 130
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # arguments that cannot be parsed
        return str(error.format_message()), int(error.exit_code)
    if isinstance(error, OSError) and error.filename is not None:  # deleted or locked while it was in use
        return f"cannot use {error.filename}: {error.strerror}. Run it again with --debug to see where.", 1
    return (
        f"{type(error).__name__}: {error}\n"
        "this should not happen; run it again with --debug and report the traceback.",
        1,
    )

"""The command line: parse, call a workflow, print.

Nothing heavy is imported before a command needs it, so that `striate --help` answers at once.
"""

from __future__ import annotations

import sys
import traceback

from striate.errors import StriateError

__all__ = ["main"]


def main() -> None:
    """Run the command in `sys.argv` and end the process with its exit status."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        status = run(arguments)
    except StriateError as error:
        if debug:
            traceback.print_exc()
        print(f"striate: {error}", file=sys.stderr)
        status = error.exit_status
    except KeyboardInterrupt:
        print("striate: interrupted.", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 1
    except Exception as error:  # noqa: BLE001 - the last resort: a failure in one line, all of it with --debug
        if debug:
            traceback.print_exc()
        print(
            f"striate: {type(error).__name__}: {error}\n"
            "striate: this should not happen; run it again with --debug and report the traceback.",
            file=sys.stderr,
        )
        status = 1
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run a command and return its exit status; errors are raised."""
    from striate.cli.app import app

    try:
        app(args=arguments, prog_name="striate")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0

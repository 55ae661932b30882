"""Errors that a user sees: what was wrong, what was expected, what to do next.

The command line prints their text in one or two lines and ends with `exit_status`;
from Python they are ordinary exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StriateError(Exception):
    """Something failed for a reason that is known; the message says which and what to do."""

    exit_status = 1


class UserError(StriateError, ValueError):
    """What was asked for cannot be done: a wrong name, file, number or combination."""

    exit_status = 2


class DataError(UserError):
    """The images or labels cannot be used as they are."""


class SpecError(UserError):
    """A network description cannot work; names the layer and the shapes."""


class BundleError(UserError):
    """A model bundle is damaged, incomplete, too new or does not fit."""


class RunError(UserError):
    """A run folder is missing, taken, damaged or does not fit."""


class TrainingError(StriateError):
    """Training could not go on (a loss that is not finite, say)."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name` in spelling, or None if none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the text for a `name` that is not among the `known` ones, with the nearest of them.

    Example: ``unknown model 'custm-cnn': did you mean 'custom-cnn'? Known: ...``.
    """
    known = sorted(known)
    guess = nearest(str(name), known)
    question = f": did you mean {guess!r}?" if guess else "."
    return f"unknown {kind} {str(name)!r}{question} Known: {', '.join(known)}."

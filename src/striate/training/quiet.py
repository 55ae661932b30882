"""Lightning without its notices, and torch's random generators left as they were found."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOGGERS = ("lightning.pytorch", "lightning.fabric")
_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\).*",  # a deprecation inside Lightning
    r"You defined a `validation_step` but have no `val_dataloader`.*",  # training without validation
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's notices off the console, and silence some of its warnings, by their text."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for text in _WARNINGS:
                warnings.filterwarnings("ignore", message=text)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def forked_generators() -> Iterator[None]:
    """Restore torch's global generators, of the CPU and of accelerators in use, on leaving."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        if mps is not None:
            torch.mps.set_rng_state(mps)

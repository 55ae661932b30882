"""Signals, also while other threads decode."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from training_task import CLASS_NAMES, PREPROCESS, make_config, make_images, make_network

from striate.data.images import ImageSet
from striate.data.loaders import Batches
from striate.training import fit
from striate.training.interrupts import Interrupts


class SlowPixels:
    """Images that count as large, so that other threads take them."""

    in_memory = False

    def __init__(self, images: ImageSet) -> None:
        self.pixels = images.pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels.take(indices)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_and_its_decoding_threads(number: int, tmp_path: Path) -> None:
    images = make_images(512, seed=1)
    streamed = ImageSet(images.paths, images.labels, SlowPixels(images))
    train = Batches(streamed, PREPROCESS, 32, shuffle=True, num_classes=4, num_workers=2)

    def send(progress) -> None:  # type: ignore[no-untyped-def]
        if (progress.epoch, progress.step) == (2, 2):
            os.kill(os.getpid(), number)

    fitted = fit(
        make_network(),
        train,
        None,
        make_config(),
        class_names=CLASS_NAMES,
        checkpoints=tmp_path,
        on_batch=send,
    )
    assert (fitted.stopped, fitted.epochs_run) == ("interrupted", 1)
    assert not [thread for thread in threading.enumerate() if "striate-decode" in thread.name]


def test_the_second_ctrl_c_interrupts_at_once() -> None:
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_who_handled_a_signal_before_hears_of_it_and_cannot_interrupt() -> None:
    heard = []

    def hear(number: int, _: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, hear)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGTERM)
            assert interrupts.requested
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_a_signal_that_comes_while_the_handlers_are_put_in_place_is_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install = signal.signal

    def install_and_send(number: int, handler: object) -> object:
        before = install(number, handler)  # type: ignore[arg-type]  # what Interrupts gives
        if isinstance(getattr(handler, "__self__", None), Interrupts):
            os.kill(os.getpid(), number)
        return before

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("striate.training.interrupts._SIGNALS", (signal.SIGTERM,))
    monkeypatch.setattr(signal, "signal", install_and_send)
    install(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            assert interrupts.requested
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        install(signal.SIGTERM, before)

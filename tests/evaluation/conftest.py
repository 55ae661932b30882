"""Predictions and histories to evaluate, seeded."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from striate.schemas import Predictions

NAUGHTY_NAMES = (
    "<script>alert(1)</script>",
    "a\"b'c & d",
    "line\nbreak",
    "\u0648\u0631\u0642\u0629 \u0633\u0644\u064a\u0645\u0629\u200f",
    "x" * 300,
    '=HYPERLINK("http://x")',
    "rust $x^2$ _a_ \\frac",
    "\u53f6\u9508\u75c5",
    "\x00\x1b[31mred",
    "{{ 7 * 7 }}",
)


@pytest.fixture
def naughty_names() -> tuple[str, ...]:
    return NAUGHTY_NAMES


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    def make(
        classes: int = 3, n: int = 60, *, seed: int = 0, strength: float = 2.0, names: tuple[str, ...] = ()
    ) -> Predictions:
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, classes, n)
        logits = generator.normal(0, 1.5, (n, classes)).astype(np.float32)
        logits[np.arange(n), labels] += strength
        images = tuple(f"test/{index}.png" for index in range(n))
        return Predictions(images, labels, logits, names or tuple(f"class {k}" for k in range(classes)))

    return make


@pytest.fixture
def make_history() -> Callable[..., pd.DataFrame]:
    def make(epochs: int = 5, *, validation: bool = True) -> pd.DataFrame:
        rows = []
        for epoch in range(1, epochs + 1):
            val_loss = 0.5 + 0.1 * abs(epoch - 3)  # best at epoch 3
            rows.append(
                {
                    "epoch": str(epoch),
                    "lr": "0.001",
                    "train_loss": str(2 / epoch),
                    "train_accuracy": str(1 - 0.5 / epoch),
                    "val_loss": str(val_loss) if validation else "",
                    "val_accuracy": str(0.9 - 0.02 * abs(epoch - 3)) if validation else "",
                    "best": str(int(validation and epoch <= 3)),
                }
            )
        return pd.DataFrame(rows)

    return make

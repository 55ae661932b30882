"""The score of every run on one set, or on several by their weights, and how far the images move it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from striate.evaluation.study import repeated
from striate.evaluation.study.answers import Answers
from striate.evaluation.study.resampling import macro_f1, macro_f1_draws

ROUNDING = 1e-12
"""Up to which resampled scores are alike."""


@dataclass(frozen=True)
class Measured:
    """One set, or the weighted total of several: the score of every run, and what moves it.

    Attributes:
        accuracy: float64 (R,).
        covariance: float64 (R, R), of the accuracies, due to the images.
        f1: float64 (R,), macro; None for a total.
        f1_draws: float64 (R, B); None for a total.
        correct: bool (R, n); None for a total.
        sets: weight and bool (R, n) of each set that it is made of.
    """

    accuracy: np.ndarray
    covariance: np.ndarray
    f1: np.ndarray | None = None
    f1_draws: np.ndarray | None = None
    correct: np.ndarray | None = None
    sets: tuple[tuple[float, np.ndarray], ...] = ()


def measure(answers: Answers) -> Measured:
    """Return how all runs did on one set."""
    classes = len(answers.class_names)
    correct = answers.correct
    covariance = (
        repeated.image_covariance(correct) if len(answers.labels) > 1 else np.zeros((len(correct),) * 2)
    )
    return Measured(
        accuracy=correct.mean(axis=1),
        covariance=covariance,
        f1=macro_f1(answers.labels, answers.predicted, classes),
        f1_draws=macro_f1_draws(answers.labels, answers.predicted, classes),
        correct=correct,
        sets=((1.0, correct),),
    )


def total(measured: Mapping[str, Measured], weights: Mapping[str, float]) -> Measured:
    """Return the weighted total of sets that hold different images: so their errors add up by squares.

    Args:
        measured: by the name of the set.
        weights: of those in the total, which add up to 1.
    """
    accuracy = sum(weights[name] * measured[name].accuracy for name in weights)
    covariance = sum(weights[name] ** 2 * measured[name].covariance for name in weights)
    sets = tuple((weight, correct) for name, weight in weights.items() for _, correct in measured[name].sets)
    return Measured(np.asarray(accuracy), np.asarray(covariance), sets=sets)


def f1_covariance(draws: np.ndarray) -> np.ndarray:
    """Return the covariance, due to the images, of the macro F1 of R runs, float64 (R, R).

    It is 0 for runs whose resampled scores differ by rounding alone.

    Args:
        draws: float64 (R, B), the score of each run in each resample.
    """
    covariance = np.atleast_2d(np.cov(draws))
    moved = np.ptp(draws, axis=1) > ROUNDING
    covariance[~moved], covariance[:, ~moved] = 0.0, 0.0
    return covariance

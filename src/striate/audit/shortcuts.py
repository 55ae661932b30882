"""Shortcuts: classes that a few numbers beside the picture tell apart, such as its size or its border.

A network takes the easiest way. Where the photos of one class are larger, darker or saved in another format,
it may learn that (Geirhos et al. 2020, Shortcut learning in deep neural networks) and fail on other photos.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from striate.audit.reading import Images
from striate.data.parallel import Progress

STAGE = "looking for shortcuts"
FOLDS = 5
SHUFFLES = 99
"""Times that the labels are shuffled to see what chance gives; the smallest p-value is 1 / (SHUFFLES + 1)."""
MOST_IMAGES = 4000
"""More images are not needed to see a shortcut: so many are drawn, class by class."""
FEW_IMAGES = 500
"""Up to so many, what the normal approximation finds must pass the shuffles too: it is too lenient there."""
LEAST_OF_CLASS = 2 * FOLDS
"""Images without which a class does not take part."""
LEVEL = 0.01
"""Largest p-value of a shortcut that is reported.

By the normal approximation it is divided by the number of cues that were tried; by the shuffles, which can
tell no smaller one, it stands as it is.
"""
LEAST_GAIN = 0.1
"""A shortcut must close so much of the way from chance to certainty to be called one."""
STRONG_GAIN = 0.5
_DEPTH = 4
_LEAF = 5


@dataclass(frozen=True)
class Shortcut:
    """How well one cue alone tells the classes apart.

    Attributes:
        cue: its name, such as `file size`.
        balanced_accuracy: mean over the classes of the share named rightly, on images kept apart.
        low: end of the 95 % interval of it; `high` likewise.
        chance: 1 / number of classes.
        p: share of shuffled labellings that did as well, or how probable that is by chance.
        strength: `none`, `some` or `strong`.
        images: how many it was measured on.
    """

    cue: str
    balanced_accuracy: float
    low: float
    high: float
    chance: float
    p: float
    strength: str
    images: int

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        alone = self.cue if self.cue.startswith("combination") else f"{self.cue} alone"
        found = f"{self.balanced_accuracy:.0%} of images (each class counting alike)"
        if self.strength == "none":
            return f"The {alone} does not tell the classes apart: {found}, chance is {self.chance:.0%}."
        return (
            f"The {alone} names the class of {found}; chance gives {self.chance:.0%}. "
            "A network may learn that instead of the picture."
        )


def find_shortcuts(
    images: Images,
    groups: Sequence[str] | None = None,
    *,
    seed: int = 0,
    shuffles: int = SHUFFLES,
    progress: Progress | None = None,
) -> tuple[Shortcut, ...]:
    """Return what each cue, and all together, tell of the classes; the strongest first.

    Args:
        images: all images of the set.
        groups: (N,), images of one group never lie in two folds; None: each image is one of its own.
        seed: of folds and shuffles.
        shuffles: of the labels, for the p-value, beside the normal approximation; 0: by that alone, in a
            hundredth of the time, but what it finds among few images is shuffled nevertheless.
        progress: is told how many cues are through.
    """
    rows = _draw(images.labels, seed)
    names, labels = np.unique(np.array(images.labels, object)[rows].astype(str), return_inverse=True)
    if len(names) < 2:
        return ()
    cues = _cues(images, rows)
    held = None if groups is None else np.unique(np.array(groups, str)[rows], return_inverse=True)[1]
    folds = _folds(labels, held, seed)
    found = []
    for number, (cue, values) in enumerate(cues.items()):
        found.append(_measure(cue, values, labels, folds, seed, len(cues), shuffles))
        if progress is not None:
            progress(STAGE, number + 1, len(cues))
    return tuple(sorted(found, key=lambda shortcut: -shortcut.balanced_accuracy))


def _draw(labels: Sequence[str], seed: int) -> np.ndarray:
    """Return the numbers of the images that take part, at most `MOST_IMAGES`, shared by the classes."""
    generator = np.random.default_rng(seed)
    counts = Counter(labels)
    classes = [label for label, count in counts.items() if count >= LEAST_OF_CLASS]
    each = max(LEAST_OF_CLASS, MOST_IMAGES // max(1, len(classes)))
    every = np.array(labels, object)
    drawn = [generator.permutation(np.flatnonzero(every == label))[:each] for label in sorted(classes)]
    return np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)


def _cues(images: Images, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return float64 (n, k) for each cue that differs at all among the images."""
    width, height = images.width[rows].astype(float), images.height[rows].astype(float)
    formats = np.unique(np.array(images.format)[rows], return_inverse=True)[1].astype(float)
    cues = {
        "image size": np.stack((width, height), axis=1),
        "aspect ratio": (width / height)[:, None],
        "file format": formats[:, None],
        "file size": images.size_bytes[rows].astype(float)[:, None],
        "border colour": images.border[rows].astype(float),
        "mean colour": images.colour[rows].astype(float),
    }
    varied = {name: values for name, values in cues.items() if (values != values[0]).any()}
    if len(varied) > 1:
        varied["combination of all these"] = np.concatenate(list(varied.values()), axis=1)
    return varied


def _folds(labels: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Return int64 (n,): the fold of each image, stratified by class; a group is never divided."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    fold = np.zeros(len(labels), np.int64)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # fewer groups of a class than folds
        for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
            fold[test] = number
    return fold


def _measure(
    cue: str,
    values: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    seed: int,
    tried: int,
    shuffles: int,
) -> Shortcut:
    right = _predict(values, labels, folds, seed) == labels
    accuracy = _balanced(right, labels)
    chance = 1 / (int(labels.max()) + 1)
    gain = (accuracy - chance) / (1 - chance)
    p = _p_by_chance(accuracy, labels)
    beats = p <= LEVEL / tried and gain >= LEAST_GAIN
    if shuffles or (beats and len(labels) <= FEW_IMAGES):
        p = _p_by_shuffles(accuracy, values, labels, folds, seed, shuffles or SHUFFLES)
        beats = beats and p <= LEVEL
    strength = ("strong" if gain >= STRONG_GAIN else "some") if beats else "none"
    low, high = _interval(right, labels)
    return Shortcut(cue, accuracy, low, high, chance, p, strength, len(labels))


def _p_by_shuffles(
    accuracy: float, values: np.ndarray, labels: np.ndarray, folds: np.ndarray, seed: int, shuffles: int
) -> float:
    """Return the share of shuffled labellings, and one more, that do as well."""
    generator = np.random.default_rng(seed)
    shuffled: list[float] = []
    for _ in range(shuffles):
        mixed = generator.permutation(labels)
        shuffled.append(_balanced(_predict(values, mixed, folds, seed) == mixed, mixed))
        if sum(score >= accuracy for score in shuffled) > 2:  # it cannot become a finding any more
            break
    return (1 + sum(score >= accuracy for score in shuffled)) / (1 + len(shuffled))


def _p_by_chance(accuracy: float, labels: np.ndarray) -> float:
    """Return how probable such an accuracy is if every class is named rightly by chance."""
    counts = np.bincount(labels)
    chance = 1 / len(counts)
    deviation = float(np.sqrt((chance * (1 - chance) / counts).sum())) / len(counts)
    return 1 - NormalDist(chance, deviation).cdf(accuracy)


def _predict(values: np.ndarray, labels: np.ndarray, folds: np.ndarray, seed: int) -> np.ndarray:
    """Return int64 (n,): the class that a small tree, grown on the other folds, names."""
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.empty_like(labels)
    for fold in range(FOLDS):
        test = folds == fold
        if not test.any():
            continue
        tree = DecisionTreeClassifier(
            max_depth=max(_DEPTH, int(labels.max()).bit_length() + 2),
            min_samples_leaf=_LEAF,
            class_weight="balanced",
            random_state=seed,
        )
        predicted[test] = tree.fit(values[~test], labels[~test]).predict(values[test])
    return predicted


def _balanced(right: np.ndarray, labels: np.ndarray) -> float:
    counts = np.bincount(labels)
    return float((np.bincount(labels, right) / counts).mean())


def _interval(right: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the balanced accuracy, by the normal approximation class by class."""
    counts = np.bincount(labels)
    shares = (np.bincount(labels, right) + 1) / (counts + 2)
    deviation = float(np.sqrt((shares * (1 - shares) / counts).sum())) / len(counts)
    middle = _balanced(right, labels)
    return max(0.0, middle - 1.96 * deviation), min(1.0, middle + 1.96 * deviation)

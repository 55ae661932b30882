"""Which image trains, which validates and which tests: no image ever does two of these.

Given splits are kept; missing ones are carved from the training images, class by class, in an order drawn
from the seed, the class name and the paths alone: neither the place of the files nor their order matters, and
whether other classes take part does not change which images of a class test.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from striate.config import DataConfig
from striate.errors import DataError

DEFAULT_SHARE = 0.15
"""Share carved for validation and for the test where none is given and nothing else is asked for."""
POOL = "pool"


class Shares(NamedTuple):
    """Shares of the pool, each in [0, 1]; what they leave to 1 is not used."""

    train: float
    val: float
    test: float


@dataclass(frozen=True)
class Plan:
    """What each given split becomes.

    Attributes:
        roles: for each given split (`""`: images without one), `val`, `test` or `pool`.
        shares: what is carved from the pool.
        messages: choices that the user did not make.
    """

    roles: dict[str, str]
    shares: Shares
    messages: tuple[str, ...] = ()


def plan(given: Iterable[str], config: DataConfig) -> Plan:
    """Decide what the given splits become.

    Args:
        given: the splits that the data set has, among train, val, test; none for a flat layout.
        config: `fraction`, `val_fraction` and `test_fraction` count.

    Raises:
        DataError: there is nothing to train on, or the fractions contradict the splits or each other.
    """
    given = set(given)
    if given and "train" not in given:
        raise DataError(
            f"there is no training split, only {' and '.join(sorted(given))}. "
            "Add a train folder, or use `striate evaluate` on a trained model."
        )
    roles, messages = _roles(given, config)
    carves_test = "test" not in roles.values()
    carves_val = "val" not in roles.values()
    test = (config.test_fraction or DEFAULT_SHARE) if carves_test else 0.0
    val = _val_share(config) if carves_val else 0.0
    train = _train_share(config, val, test)
    if config.fraction is not None and train < config.fraction < 1:
        messages.append(
            f"Only {train:.1%} instead of {config.fraction:.1%} of the images train: "
            f"{val:.1%} are kept for validation and {test:.1%} for the test."
        )
    return Plan(roles, Shares(train, val, test), tuple(messages))


def idle_fractions(given: Iterable[str], config: DataConfig) -> list[str]:
    """Return those of `val_fraction` and `test_fraction` for which the given splits leave nothing to carve.

    A `val_fraction` of 0 is none of them: it lets the validation images train.
    """
    splits = set(given)
    has_test = bool(splits & {"test", "val"})  # without a test split, that for validation serves as one
    idle = ["val_fraction"] if {"val", "test"} <= splits and config.val_fraction else []
    return idle + (["test_fraction"] if has_test and config.test_fraction is not None else [])


def allot(n: int, shares: Shares) -> tuple[int, int, int]:
    """Return how many of a class's `n` images train, validate and test, by largest remainder.

    Every class gets a training image; a test image if n >= 2 and a validation image if n >= 3, where
    such shares are asked for at all.
    """
    unused = max(0.0, 1 - sum(shares))
    quotas = [round(n * share, 9) for share in (shares.test, shares.val, shares.train, unused)]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(4), key=lambda part: counts[part] - quotas[part])
    for part in by_remainder[: n - sum(counts)]:
        counts[part] += 1
    least = [int(shares.test > 0 and n >= 2), int(shares.val > 0 and n >= 3), 1, 0]
    for part in range(3):
        while counts[part] < least[part]:
            spare = [counts[other] - least[other] for other in range(4)]
            giver = 3 if spare[3] > 0 else int(np.argmax(spare))
            counts[giver] -= 1
            counts[part] += 1
    return counts[2], counts[1], counts[0]


def carve_groups(groups: Sequence[str], labels: Sequence[str], shares: Shares, seed: int) -> list[str]:
    """Return the split of each image of the pool, as `carve` does, but the same for all images of a group.

    Groups are drawn in place of images: a group counts for the label that most of its images have.

    Raises:
        DataError: a class has a single group, or is left without an image to train with.
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        members[group][label] += 1
    names = sorted(members)
    main = [min(members[name], key=lambda label: (-members[name][label], label)) for name in names]
    split_of = dict(zip(names, carve(names, main, shares, seed, "group"), strict=True))
    result = [split_of[group] for group in groups]
    trained = {label for label, split in zip(labels, result, strict=True) if split == "train"}
    lacking = sorted(set(labels) - trained)
    if lacking:
        raise DataError(
            f"--group-by leaves class {lacking[0]!r} without an image to train with: "
            "its groups are of several classes. Try another --seed, or finer groups."
        )
    return result


def carve(
    paths: Sequence[str], labels: Sequence[str], shares: Shares, seed: int, unit: str = "image"
) -> list[str]:
    """Return `train`, `val`, `test` or `""` (not used) for each image of the pool, stratified by label.

    `unit` is what the paths are called in messages.

    Raises:
        DataError: a class has a single image.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    result = [""] * len(paths)
    for label, indices in members.items():
        if len(indices) == 1:
            raise DataError(
                f"class {label!r} has a single {unit} to train and test with ({paths[indices[0]]}). "
                "Add images of it, or name the classes to use with --classes."
            )
        indices.sort(key=lambda index: paths[index])
        drawn = _generator(seed, label).permutation(len(indices))
        train, val, test = allot(len(indices), shares)
        for split, start, stop in (
            ("test", 0, test),
            ("val", test, test + val),
            ("train", test + val, test + val + train),
        ):
            for position in drawn[start:stop]:
                result[indices[position]] = split
    return result


def _roles(given: set[str], config: DataConfig) -> tuple[dict[str, str], list[str]]:
    roles = {split: split for split in given - {"train"}} | ({"train": POOL} if given else {"": POOL})
    messages = []
    if "val" in given and "test" not in given:
        roles["val"] = "test"
        messages.append("There is no test split, so the validation split (val) serves as the test.")
    if "test" in roles.values() and config.test_fraction is not None:
        which = "test" if "test" in given else "val (there is no test split)"
        raise DataError(
            f"--test-fraction has nothing to carve: the data has a test split, {which}. Leave it out."
        )
    if roles.get("val") == "val" and config.val_fraction:
        raise DataError(
            "--val-fraction has nothing to carve: the data has a validation split. Leave it out, "
            "or give 0 to train on the validation images too."
        )
    if roles.get("val") == "val" and config.val_fraction == 0:
        roles["val"] = POOL
        messages.append("--val-fraction 0: the validation images train too; the last epoch is kept.")
    return roles, messages


def _val_share(config: DataConfig) -> float:
    if config.val_fraction is not None:
        return config.val_fraction
    return DEFAULT_SHARE * (1.0 if config.fraction is None else config.fraction)


def _train_share(config: DataConfig, val: float, test: float) -> float:
    """Return the share that trains.

    Raises:
        DataError: the shares that the user named add up to more than there is.
    """
    rest = 1 - val - test
    fraction = 1.0 if config.fraction is None else config.fraction
    named = fraction < 1 and config.val_fraction is not None
    if rest <= 1e-9 or (named and fraction > rest + 1e-9):
        train = f"{fraction:g} (--fraction) + " if named else ""
        raise DataError(
            f"{train}{val:g} (validation) + {test:g} (test) is more than the images there are to train with. "
            "Lower --fraction, --val-fraction or --test-fraction."
        )
    return min(fraction, rest)


def _generator(seed: int, label: str) -> np.random.Generator:
    digest = hashlib.sha256(label.encode()).digest()
    return np.random.Generator(np.random.PCG64([seed, int.from_bytes(digest[:8], "little")]))

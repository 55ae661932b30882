"""How often recipes that are equal are called different: simulated studies, compared as `ablate` does.

    python benchmarks/equal_recipes.py
    python benchmarks/equal_recipes.py --studies 1000

Each row is so many studies of two recipes with the same skill. An image has a difficulty, which all runs
share; a recipe finds some images harder than another; a seed moves the skill of a run; the rest is noise. A
run names an image correctly where the sum is above a threshold. Printed are, in percent with their standard
error, the studies with p < 0.05 and those whose interval of the difference holds 0; of two sets, the total's.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import processes
from striate.evaluation.study import Answers, Entry, compare_entries

SHARED, OWN, NOISE, THRESHOLD = 1.5, 0.35, 0.7, -1.0
"""Deviations of what all runs share, of what is a recipe's own, and of the rest; about 73 % are right."""
ROWS = [
    # seeds, images, deviation of a seed, sets
    (2, 300, 0.0, 1),
    (2, 300, 0.15, 1),
    (3, 300, 0.15, 1),
    (5, 300, 0.15, 1),
    (3, 2000, 0.15, 1),
    (3, 3, 0.0, 1),
    (3, 10, 0.0, 1),
    (3, 30, 0.15, 1),
    (1, 3, 0.0, 2),
    (1, 10, 0.0, 2),
    (1, 100, 0.0, 2),
]


def main() -> None:
    """Simulate what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=400)
    studies = parser.parse_args().studies
    print(processes.hardware(), flush=True)
    print(
        "\n| seeds | images | a seed moves | sets | p < 0.05 | interval holds 0 |\n|---|---|---|---|---|---|"
    )
    for seeds, images, deviation, sets in ROWS:
        generator = np.random.default_rng(seeds + images)
        found = [_difference(generator, seeds, images, deviation, sets) for _ in range(studies)]
        significant = float(np.mean([row["p_value"] < 0.05 for row in found]))
        covered = float(np.mean([row["low"] <= 0 <= row["high"] for row in found]))
        cells = (seeds, images, deviation, sets, _percent(significant, studies), _percent(covered, studies))
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _difference(
    generator: np.random.Generator, seeds: int, images: int, deviation: float, sets: int
) -> dict[str, float]:
    """Simulate one study and compare its two recipes, on the set or on the total of 0.6 and 0.4."""
    names = ["set"] if sets == 1 else ["first", "second"]
    answers = {name: _answers(generator, seeds, images, deviation) for name in names}
    entries = [Entry(name, tuple(f"{name}{seed}" for seed in range(seeds))) for name in ("one", "other")]
    weights = {"first": 0.6, "second": 0.4} if sets == 2 else None
    row: dict[str, float] = compare_entries(entries, answers, weights=weights)["comparisons"][-1]["accuracy"]
    return row


def _answers(generator: np.random.Generator, seeds: int, images: int, deviation: float) -> Answers:
    difficulty = generator.normal(0, SHARED, images)
    own = np.repeat(generator.normal(0, OWN, (2, images)), seeds, axis=0)
    skill = generator.normal(0, deviation, (2 * seeds, 1))
    wrong = difficulty + own + skill + generator.normal(0, NOISE, own.shape) <= THRESHOLD
    labels, paths = np.zeros(images, np.int64), tuple(map(str, range(images)))
    return Answers(paths, labels, ("a", "b"), wrong.astype(np.int64), np.ones(wrong.shape, np.float32))


def _percent(share: float, studies: int) -> str:
    return f"{100 * share:.1f} ± {100 * math.sqrt(share * (1 - share) / studies):.1f}"


if __name__ == "__main__":
    main()

"""The order of many classes in the confusion matrix."""

import numpy as np
import pytest

from striate.evaluation.ordering import MOST_TURNED, by_confusion


def _grouped(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A confusion matrix whose mistakes fall within shuffled groups of five; and each class's group."""
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.arange(classes) // 5)
    confusion = 40 * np.eye(classes, dtype=int)
    confusion[groups[:, None] == groups] += 3
    return confusion, groups


@pytest.mark.parametrize("classes", [40, 200, MOST_TURNED + 50])
def test_groups_of_confused_classes_stand_together(classes) -> None:
    confusion, groups = _grouped(classes)
    order = by_confusion(confusion)
    assert np.count_nonzero(np.diff(groups[order])) == classes // 5 - 1


@pytest.mark.parametrize("seed", range(5))
def test_order_holds_every_class_once(seed) -> None:
    confusion = np.random.default_rng(seed).integers(0, 3, (17, 17)) * (np.arange(17) % 4 > 0)
    assert sorted(by_confusion(confusion)) == list(range(17))


def test_classes_without_mistakes_come_last_in_their_order() -> None:
    confusion = np.diag([5, 5, 5, 5, 5])
    confusion[3, 1] = 2
    assert list(by_confusion(confusion)) == [1, 3, 0, 2, 4]
    assert list(by_confusion(np.zeros((4, 4), int))) == [0, 1, 2, 3]

"""Wrong labels, outliers and near neighbours that were planted among features are found."""

from __future__ import annotations

import numpy as np
import pytest

from striate.audit import doubtful_labels, near_in_features, outliers


@pytest.fixture
def clusters():
    """Features of three classes that lie apart, float32 (240, 16), and their labels."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 3, (3, 16))
    numbers = np.repeat(np.arange(3), 80)
    features = (centres[numbers] + generator.normal(0, 1, (240, 16))).astype(np.float32)
    return features, [f"class {number}" for number in numbers]


def test_swapped_labels_are_found_with_the_right_class(clusters):
    features, labels = clusters
    swapped = {3: "class 1", 90: "class 2", 200: "class 0"}
    given = [swapped.get(number, label) for number, label in enumerate(labels)]
    found = {doubt.number: doubt.suggested for doubt in doubtful_labels(features, given)}
    assert {number: found.get(number) for number in swapped} == {number: labels[number] for number in swapped}
    assert len(found) <= 2 * len(swapped)


def test_right_labels_raise_no_doubt(clusters):
    features, labels = clusters
    assert doubtful_labels(features, labels) == ()


def test_an_outlier_is_found(clusters):
    features, _ = clusters
    features = np.concatenate((features, np.full((1, 16), 40, np.float32)))
    assert outliers(features)[0].number == 240


def test_pairs_that_almost_coincide_are_found_and_no_others(clusters):
    features, _ = clusters
    features = np.concatenate((features, features[:2] + 1e-3))
    assert near_in_features(features).tolist() == [[0, 240], [1, 241]]


@pytest.mark.parametrize(
    "features", [np.zeros((3, 2, 2)), np.zeros((5, 2)), np.full((3, 2), np.nan), np.zeros((3, 2), int)]
)
def test_features_that_do_not_fit_are_refused(features):
    with pytest.raises(ValueError, match="expected"):
        doubtful_labels(features, ["a", "b", "a"])

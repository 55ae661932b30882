"""The discriminant analysis against scikit-learn's, and what its mean with a logistic regression comes to."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from striate.features.axes import LinearHead, PrincipalAxes
from striate.features.discriminant import SHARE, blended, discriminant
from striate.features.heads import held_out_loss, train_head
from striate.features.logistic import cross_entropy, fit_head


def samples(count: int, size: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (N, F) around the classes' means, which depend on one another, and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    mixing = np.random.default_rng(1).normal(size=(size, size)) / np.sqrt(size)
    means = np.random.default_rng(2).normal(size=(classes, size))
    features = 0.2 * means[labels] + generator.normal(size=(count, size)) @ mixing
    return features.astype(np.float32), labels


def head_of(axes: PrincipalAxes, labels: np.ndarray, classes: int, shrinkage: float) -> LinearHead:
    found = discriminant(axes, labels, classes, shrinkage)
    assert found is not None
    return axes.head(*found)


@pytest.mark.parametrize("shrinkage", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_it_is_that_of_scikit_learn(classes: int, shrinkage: float) -> None:
    features, labels = samples(160, 24, classes)
    labels[:20] = 0  # classes of unlike size
    axes = PrincipalAxes(features)
    scaled = (features.astype(np.float64) - axes.mean) / axes.scale
    other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(scaled, labels)
    logits = head_of(axes, labels, classes, shrinkage).logits(features).astype(np.float64)
    expected = other.predict_log_proba(scaled)
    found = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=2e-3)  # logits of up to some tens, in float32


def test_with_fewer_samples_than_features_it_is_the_covariance_shrunk_in_their_span() -> None:
    features, labels = samples(30, 80, 3)
    axes = PrincipalAxes(features)
    found = discriminant(axes, labels, 3, 0.4)
    assert found is not None
    points = axes.coordinates.astype(np.float64)
    means = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    apart = points - means[labels]
    within = apart.T @ apart / len(points)
    shrunk = 0.6 * within + 0.4 * np.trace(within) / len(within) * np.eye(len(within))
    weight = np.linalg.solve(shrunk, means.T).T
    bias = np.log(1 / 3) - 0.5 * (weight * means).sum(axis=1)
    # coordinates are float32, and the weakest axes hold a thousandth of the strongest's power
    np.testing.assert_allclose(found[0], weight - weight.mean(axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[1], bias - bias.mean(), rtol=1e-3, atol=1e-3)


def test_the_head_is_the_mean_of_both_at_the_same_spread() -> None:
    features, labels = samples(60, 40, 3)
    axes = PrincipalAxes(features)
    logistic = fit_head(axes, labels, 3, 0.1)
    head = blended(axes, labels, 3, logistic, logistic.logits(features))
    rest = (head.logits(features) - (1 - SHARE) * logistic.logits(features)) / SHARE
    spreads = [
        (logits - logits.mean(axis=1, keepdims=True)).std() for logits in (rest, logistic.logits(features))
    ]
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-3)
    other = head_of(axes, labels, 3, 0.3).logits(features)
    assert np.corrcoef(rest.ravel(), other.ravel())[0, 1] == pytest.approx(1, abs=1e-4)


def test_it_answers_new_samples_better_than_logistic_regression_alone() -> None:
    losses = []
    for seed in range(3):
        features, labels = samples(120, 200, 4, seed)
        new, answers = samples(2000, 200, 4, 100 + seed)
        axes = PrincipalAxes(features)
        trained = train_head(features, labels, 4, axes=axes)
        logistic = fit_head(axes, labels, 4, trained.choice.strength, trained.choice.solutions)
        losses.append([cross_entropy(head.logits(new), answers) for head in (trained.head, logistic)])
    ours, alone = np.mean(losses, axis=0)
    assert ours < alone


def test_the_held_out_loss_is_of_samples_that_the_head_has_not_seen() -> None:
    features, labels = samples(120, 200, 4)
    learnable = held_out_loss(features, labels, 4, 0.1)
    by_chance = held_out_loss(features, np.random.default_rng(5).permutation(labels), 4, 0.1)
    assert learnable < 0.5 * np.log(4)
    assert by_chance > np.log(4)  # though 120 samples of 200 features can be told apart by heart


def test_groups_are_held_out_together() -> None:
    features, _ = samples(60, 200, 3)
    labels = np.random.default_rng(6).permutation(60) % 3
    twice, answers = np.repeat(features, 2, axis=0), np.repeat(labels, 2)
    groups = [f"image {number // 2}" for number in range(120)]
    apart, together = (held_out_loss(twice, answers, 3, 0.1, groups=given) for given in (None, groups))
    assert apart < np.log(3) < together  # labels are by chance: only a copy that was seen tells them


@pytest.mark.parametrize(
    ("labels", "classes"),
    [([0, 1, 2, 3], 4), ([0, 0, 1, 1], 3), ([0, 1, 1, 0], 2)],
    ids=["one sample a class", "a class without samples", "means that are the same"],
)
def test_where_it_cannot_be_the_logistic_regression_stays(labels: list[int], classes: int) -> None:
    features = np.array([[1, 2, -3], [1, 2, -3], [-1, -2, 3], [-1, -2, 3]], np.float32)
    if classes == 4:
        features, _ = samples(4, 6, 4)
    axes = PrincipalAxes(features)
    logistic = LinearHead(np.ones((classes, features.shape[1]), np.float32), np.zeros(classes, np.float32))
    logits = logistic.logits(features)
    assert blended(axes, np.asarray(labels), classes, logistic, logits) is logistic


@pytest.mark.parametrize("size", [8, 64], ids=["fewer features than samples", "more"])
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_features_that_are_all_alike_give_the_shares_of_the_classes(size: int, value: float) -> None:
    features = np.full((40, size), value, np.float32)
    labels = np.repeat([0, 1], [30, 10])
    logits = train_head(features, labels, 2).head.logits(features).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, np.tile([0.75, 0.25], (40, 1)), atol=0.01)

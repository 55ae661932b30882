import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from striate.features import PrincipalAxes, make_folds, train_head
from striate.features.logistic import choose_strength, fit_head

CLOSE = 2e-3  # of a probability: L-BFGS stops at a gradient of 1e-4


def clusters(n=240, size=12, classes=3, seed=0, spread=1.5):
    """Return overlapping clusters of points, float32 (n, size), and their labels."""
    generator = np.random.Generator(np.random.PCG64(seed))
    labels = generator.integers(0, classes, n)
    centres = generator.normal(size=(classes, size))
    scales = generator.uniform(0.2, 3, size)  # features of unlike size, as networks have them
    return ((centres[labels] + spread * generator.normal(size=(n, size))) * scales).astype(np.float32), labels


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sklearn_probabilities(axes, labels, strength, features):
    """Return scikit-learn's answer to the same problem: its C counts samples, and the sum of their losses."""
    points = (features - axes.mean) / axes.scale
    model = LogisticRegression(C=1 / (strength * len(labels)), tol=1e-8, max_iter=5000)
    return model.fit(points, labels).predict_proba(points)


@pytest.mark.parametrize("strength", [1.0, 0.03, 0.001])
@pytest.mark.parametrize(("n", "size"), [(240, 12), (30, 80)])
def test_the_head_agrees_with_scikit_learn(n, size, strength):
    features, labels = clusters(n, size)
    axes = PrincipalAxes(features)
    found = softmax(fit_head(axes, labels, 3, strength).logits(features))
    np.testing.assert_allclose(found, sklearn_probabilities(axes, labels, strength, features), atol=CLOSE)


def test_two_classes_work_as_several():
    features, labels = clusters(classes=2)
    axes = PrincipalAxes(features)
    found = softmax(fit_head(axes, labels, 2, 0.1).logits(features))
    assert found.shape == (240, 2)
    theirs = LogisticRegression(C=1 / (0.05 * 240), tol=1e-8, max_iter=5000)  # one logit is two, halved
    points = (features - axes.mean) / axes.scale
    np.testing.assert_allclose(found, theirs.fit(points, labels).predict_proba(points), atol=CLOSE)


def test_held_out_losses_are_those_of_heads_that_have_not_seen_the_fold():
    features, labels = clusters(150, 8)
    axes, folds = PrincipalAxes(features), make_folds(labels, None, 0)
    choice = choose_strength(axes, labels, 3, folds, [0.1])
    points = (features - axes.mean) / axes.scale
    losses = np.empty(150)
    for fold in range(5):
        out = folds == fold
        model = LogisticRegression(C=1 / (0.1 * (~out).sum()), tol=1e-8, max_iter=5000)
        probabilities = model.fit(points[~out], labels[~out]).predict_proba(points[out])
        losses[out] = -np.log(probabilities[np.arange(out.sum()), labels[out]])
    assert choice.losses[0] == pytest.approx(losses.mean(), rel=2e-2)  # compared at a rough tolerance


def test_noise_gets_a_strong_penalty_and_clean_clusters_a_weak_one():
    generator = np.random.Generator(np.random.PCG64(1))
    noise = generator.normal(size=(200, 30)).astype(np.float32)
    labels = generator.integers(0, 2, 200)
    clean, clean_labels = clusters(200, 30, spread=0.1)
    strong = train_head(noise, labels, 2).choice.strength
    assert strong > 10 * train_head(clean, clean_labels, 3).choice.strength


def test_scaling_and_turning_features_changes_nothing():
    features, labels = clusters()
    turn = np.linalg.qr(np.random.Generator(np.random.PCG64(2)).normal(size=(12, 12)))[0].astype(np.float32)
    moved = 50 * features @ turn + 7
    before, after = (fit_head(PrincipalAxes(x), labels, 3, 0.1).logits(x) for x in (features, moved))
    np.testing.assert_allclose(softmax(before), softmax(after), atol=CLOSE)


def test_constant_features_give_the_class_frequencies():
    labels = np.array([0, 0, 0, 1])
    trained = train_head(np.ones((4, 3), np.float32), labels, 2)
    np.testing.assert_allclose(
        softmax(trained.head.logits(np.ones((1, 3), np.float32)))[0, 0], 0.75, atol=1e-3
    )


def test_a_class_with_one_image_is_learned():
    features, labels = clusters(60, 6, spread=0.2)
    labels[labels == 2] = 0
    labels[7] = 2
    features[7] = 40
    trained = train_head(features, labels, 3)
    assert trained.head.logits(features)[7].argmax() == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    features, labels = clusters(20, 4)
    features[3, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        train_head(features, labels, 3)


def test_folds_spread_every_class_evenly():
    labels = np.repeat([0, 1, 2], [50, 20, 7])
    folds = make_folds(labels, None, seed=3)
    for label, count in enumerate([50, 20, 7]):
        shares = np.bincount(folds[labels == label], minlength=5)
        assert shares.max() - shares.min() <= 1, (count, shares)
    assert not np.array_equal(folds, make_folds(labels, None, seed=4))


def test_folds_keep_groups_together_and_about_equal():
    generator = np.random.Generator(np.random.PCG64(0))
    groups = [f"leaf {number}" for number in generator.integers(0, 40, 200)]
    labels = np.array([int(group.split()[1]) % 3 for group in groups])
    folds = make_folds(labels, groups, seed=0)
    assert len(set(zip(groups, folds.tolist(), strict=True))) == len(set(groups))
    assert np.bincount(folds, minlength=5).min() > 25


def test_few_samples_get_fewer_folds():
    assert make_folds(np.array([0, 1]), None, 0).max() == 1
    assert make_folds(np.arange(6) % 2, None, 0).max() == 2


def test_levels_of_unlike_scale_count_alike():
    features, labels = clusters(240, 12)
    first, second = np.float32([1] * 6), np.float32([1000] * 6)
    stretched = features * np.concatenate([first, second])
    plain, by_level = (PrincipalAxes(x, levels) for x, levels in ((features, (6, 6)), (stretched, (6, 6))))
    before = fit_head(plain, labels, 3, 0.3).logits(features)
    after = fit_head(by_level, labels, 3, 0.3).logits(stretched)
    np.testing.assert_allclose(softmax(before), softmax(after), atol=CLOSE)
    one_level = fit_head(PrincipalAxes(stretched), labels, 3, 0.3).logits(stretched)
    assert np.abs(softmax(one_level) - softmax(after)).max() > 10 * CLOSE


def test_levels_that_do_not_fit_are_refused():
    features, labels = clusters(20, 4)
    with pytest.raises(ValueError, match="levels have 5 features"):
        train_head(features, labels, 3, levels=(2, 3))

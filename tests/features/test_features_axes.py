"""Axes that are kept on disk, and the search for a minimum along them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import optimize

from striate.cache import cache_folder
from striate.features import axes as axes_module
from striate.features import train_head
from striate.features.axes import PrincipalAxes, kept_axes
from striate.features.lbfgs import minimize

CLOSE = 1e-6  # of coordinates and minima in float64


def features(n=30, size=12, seed=0):
    return np.random.Generator(np.random.PCG64(seed)).normal(size=(n, size)).astype(np.float32)


@pytest.fixture
def turns(monkeypatch, tmp_path):
    """Count how often axes are searched for, in a cache of the test's own."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    counted = []
    turn = axes_module._turn
    monkeypatch.setattr(axes_module, "_turn", lambda centred: counted.append(1) or turn(centred))
    return counted


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_kept_axes_are_those_that_are_found(turns, shape):
    values = features(*shape)
    plain = PrincipalAxes(values)
    kept_axes(values)
    known = kept_axes(values)
    assert len(turns) == 2
    np.testing.assert_array_equal(known.coordinates, plain.coordinates)
    labels = np.arange(shape[0]) % 2
    heads = [train_head(values, labels, 2, axes=axes).head for axes in (plain, known)]
    np.testing.assert_array_equal(heads[0].weight, heads[1].weight)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_coordinates_are_the_features_along_orthogonal_axes(shape):
    values = features(*shape)
    axes = PrincipalAxes(values)
    centred = (values - axes.mean) / axes.scale
    directions = axes.combinations if axes.spanning is None else axes.spanning.T @ axes.combinations
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-4)
    np.testing.assert_allclose(centred @ directions, axes.coordinates, atol=1e-4)


def test_another_bit_of_the_features_or_another_level_is_noticed(turns):
    values = features()
    kept_axes(values)
    changed = values.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], np.float32(9))
    kept_axes(changed)
    kept_axes(values, (6, 6))
    assert len(turns) == 3


def test_torn_axes_are_found_anew(turns):
    kept_axes(features())
    (file,) = cache_folder().rglob("directions.npy")
    file.write_bytes(file.read_bytes()[:-8])
    kept_axes(features())
    assert len(turns) == 2
    kept_axes(features())
    assert len(turns) == 2


def test_a_folder_that_cannot_be_written_changes_nothing(turns, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file"))
    found = kept_axes(features())
    np.testing.assert_array_equal(found.coordinates, PrincipalAxes(features()).coordinates)


def test_two_at_once_keep_whole_axes(turns):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept_axes(features()), range(8)))
    before = len(turns)
    found.append(kept_axes(features()))
    assert len(turns) == before
    for axes in found:
        np.testing.assert_array_equal(axes.coordinates, found[0].coordinates)


def test_the_minimum_is_that_of_scipy():
    generator = np.random.Generator(np.random.PCG64(1))
    inputs, signs = generator.normal(size=(80, 20)), generator.choice([-1.0, 1.0], 80)
    scaled = inputs * np.geomspace(0.1, 10, 20)

    def objective(point):
        margins = signs * (scaled @ point)
        slope = -signs / (1 + np.exp(margins))
        return np.logaddexp(0, -margins).sum() + 0.5 * point @ point, scaled.T @ slope + point

    theirs = optimize.minimize(objective, np.zeros(20), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    ours = minimize(objective, np.zeros(20), gradient_tolerance=1e-8, loss_tolerance=0, max_iterations=300)
    np.testing.assert_allclose(ours, theirs, atol=CLOSE)


def test_a_minimum_is_not_left_and_steps_are_counted():
    asked = []

    def bowl(point):
        asked.append(point)
        return float(point @ point), 2 * point

    options = {"gradient_tolerance": 1e-9, "loss_tolerance": 0.0}
    np.testing.assert_array_equal(minimize(bowl, np.zeros(3), max_iterations=9, **options), np.zeros(3))
    assert len(asked) == 1
    np.testing.assert_array_equal(minimize(bowl, np.ones(3), max_iterations=0, **options), np.ones(3))

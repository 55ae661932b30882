"""A head with a hidden layer on features: its gradients, what it learns, and the bundle it becomes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from striate.errors import UserError
from striate.features import hidden_layer, train_head
from striate.features.hidden_layer import train_hidden_head

ROUNDING = 1e-5  # of float32
AGREES = 2e-3  # of a logit: ONNX Runtime, NumPy and torch round differently


def rings(n=240, seed=0):
    """Points in and around a disc: no straight line tells them apart."""
    generator = np.random.Generator(np.random.PCG64(seed))
    points = generator.normal(size=(n, 2)).astype(np.float32)
    return points, (np.linalg.norm(points, axis=1) > 1.1).astype(np.int64)


def test_a_hidden_layer_learns_what_a_linear_head_cannot():
    points, labels = rings()
    others, truth = rings(seed=1)
    linear = train_head(points, labels, 2)
    hidden = train_hidden_head(points, labels, 2, 24)
    assert hidden.loss < 0.5 * linear.loss
    assert (hidden.head.logits(others).argmax(axis=1) == truth).mean() > 0.9
    described = hidden.describe()
    assert described["held_out_loss"] == hidden.loss
    assert 1 <= described["head_epochs_run"] <= hidden_layer.EPOCHS


def test_gradients_of_all_heads_agree_with_torch():
    generator = np.random.Generator(np.random.PCG64(0))
    inputs = generator.normal(size=(20, 6)).astype(np.float32)
    labels = generator.integers(0, 3, 20)
    used = (generator.random((2, 20)) < 0.7).astype(np.float32)
    task = hidden_layer._Task(inputs, labels, 3, 5, 0.0, 0)
    heads = hidden_layer._first_weights(task, 2, generator)
    found = hidden_layer._gradients(task, heads, np.arange(20), used, generator)
    for place in (0, 1):
        below, above = nn.Linear(6, 5), nn.Linear(5, 3)
        with torch.no_grad():
            for layer, weight, bias in ((below, 0, 1), (above, 2, 3)):
                layer.weight.copy_(torch.from_numpy(heads[weight][place].T))
                layer.bias.copy_(torch.from_numpy(heads[bias][place, 0]))
        seen = used[place] > 0
        logits = above(torch.relu(below(torch.from_numpy(inputs[seen]))))
        nn.functional.cross_entropy(logits, torch.from_numpy(labels[seen])).backward()
        for theirs, ours in zip((below.weight, below.bias, above.weight, above.bias), found, strict=True):
            expected = theirs.grad.numpy()
            shaped = ours[place].T if expected.ndim == 2 else ours[place, 0]
            np.testing.assert_allclose(shaped, expected, atol=ROUNDING)


def test_an_adam_step_agrees_with_torch():
    generator = np.random.Generator(np.random.PCG64(0))
    values = generator.normal(size=(4, 3)).astype(np.float32)
    parameter = nn.Parameter(torch.from_numpy(values.copy()))
    theirs = torch.optim.Adam([parameter], lr=hidden_layer.LR, betas=hidden_layer.BETAS)
    mean, square = np.zeros_like(values), np.zeros_like(values)
    for step in (1, 2, 3):
        gradient = generator.normal(size=values.shape).astype(np.float32)
        parameter.grad = torch.from_numpy(gradient.copy())
        theirs.step()
        hidden_layer._adam(values, gradient, mean, square, step)
    np.testing.assert_allclose(values, parameter.detach().numpy(), atol=ROUNDING)


def test_a_head_of_a_fold_does_not_see_the_fold():
    points, labels = rings(60)
    folds = np.arange(60) % 3
    task = hidden_layer._Task(points, labels, 2, 8, 0.0, 0)
    used = (folds != np.arange(3)[:, None]).astype(np.float32)
    before = [values[1].copy() for values in next(hidden_layer._learn(task, used, 0.1))]
    changed = labels.copy()
    changed[folds == 1] = 1 - changed[folds == 1]
    task = hidden_layer._Task(points, changed, 2, 8, 0.0, 0)
    after = [values[1] for values in next(hidden_layer._learn(task, used, 0.1))]
    for ours, theirs in zip(before, after, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_same_seed_gives_the_same_head_and_dropout_another():
    points, labels = rings(80)
    heads = [train_hidden_head(points, labels, 2, 6, dropout=p).head for p in (0.0, 0.0, 0.5)]
    first, again, dropped = (head.logits(points) for head in heads)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, dropped)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    generator = np.random.Generator(np.random.PCG64(0))
    for name, low in (("dark", 0), ("light", 90)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = generator.integers(low, low + 150, (64, 80, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_the_bundle_holds_the_hidden_layer_and_features_are_shared(photos, tmp_path):
    settings = {"image_size": 32, "audit": False, "strategy": "features"}
    striate.train(photos, out=tmp_path / "linear", **settings)
    run = striate.train(photos, out=tmp_path / "hidden", head_hidden=7, head_dropout=0.2, **settings)
    assert run.facts()["training"]["computed_features"] == 0
    classifier = striate.load(run.model)
    stored = run.predictions("test")
    found = classifier.predict_logits([photos / image for image in stored.images])
    np.testing.assert_allclose(found * classifier.record.temperature, stored.logits, atol=AGREES)
    shapes = {key.name: tuple(key.shape) for key in classifier.record.keys}
    assert (shapes["head_hidden.weight"], shapes["classifier.weight"]) == ((7, 2176), (2, 7))


def test_dropout_without_a_hidden_layer_is_refused(photos, tmp_path):
    with pytest.raises(UserError, match="--head-hidden"):
        striate.train(photos, out=tmp_path / "run", strategy="features", head_dropout=0.5)

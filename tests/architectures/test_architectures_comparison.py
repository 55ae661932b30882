"""Comparing two engines: the arithmetic of differences, and networks that go in step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.architectures import Spec, comparison, initial_weights, load_spec, names, watching_torch
from striate.architectures.both_engines import Batch, BothEngines
from striate.architectures.comparison import (
    Difference,
    Errors,
    Measured,
    difference,
    first_departure,
    together,
)
from striate.engine import blocks, functional, layers
from striate.engine.layers import learned, normalization
from striate.engine.losses import FITTING
from striate.training.losses import Loss

SHAPES = {"cats-cnn": (3, 70, 70), "two-digit": (1, 28, 28), "gray-cnn": (1, 28, 28)}
TWO_CLASSES = ("cats-cnn", "two-digit")
BRANCHES = """
name: branches
layers:
  - parallel:
      branches:
        - [{conv2d: {out_channels: 4, kernel_size: 1}}, gelu]
        - [{conv2d: {out_channels: 4, kernel_size: [3, 2], padding: same}}, tanh]
  - residual:
      layers:
        - conv2d: {out_channels: 6, kernel_size: 3, stride: 2, padding: [[0, 1], [1, 0]], groups: 2}
        - relu6
      shortcut: [{conv2d: {name: match, out_channels: 6, kernel_size: 2, stride: 2}}]
  - max_pool2d: {kernel_size: 2}
  - flatten
  - batch_norm
  - dropout: {p: 0.3}
  - linear: {out_features: num_classes}
"""


def both(spec: Spec, shape, classes: int, dtype: str = "float64") -> BothEngines:
    weights = initial_weights(spec, shape, classes)
    return BothEngines(spec, shape, classes, weights, Loss(spec.output, FITTING[spec.output][0]), dtype)


def batch_for(shape, classes: int, count: int = 4, seed: int = 0) -> Batch:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    return Batch(inputs, generator.integers(0, classes, count))


def compared(pair: BothEngines, shape, classes: int = 10) -> list[Measured]:
    batch = batch_for(shape, classes)
    return [*pair.compare(batch, "evaluation"), *pair.compare(batch, "training")]


# The arithmetic


def test_the_difference_is_relative_to_the_largest_value_of_either():
    assert difference(np.array([1.0, 2.0]), np.array([1.5, 4.0])) == Difference(2.0, 0.5)
    assert difference(np.array([-8.0, 2.0]), np.array([-7.0, 2.0])) == Difference(1.0, 1 / 8)
    assert difference(np.zeros(3), np.zeros(3)) == Difference(0.0, 0.0)
    assert difference(np.zeros((0, 2)), np.zeros((0, 2))) == Difference(0.0, 0.0)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_agree_only_with_themselves(odd):
    same = np.array([1.0, odd])
    assert difference(same, same.copy()) == Difference(0.0, 0.0)
    assert difference(same, np.array([1.0, 5.0])).relative == np.inf
    assert difference(np.array([1.0, 5.0]), same).relative == np.inf
    assert difference(np.array([np.inf]), np.array([-np.inf])).relative == np.inf


def test_arrays_of_other_shapes_or_that_are_missing_are_infinitely_far_apart():
    assert difference(np.zeros((2, 1)), np.zeros(2)).relative == np.inf
    apart = together({"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2), "c": np.ones(1)})
    assert [apart[name].relative for name in "abc"] == [0.0, np.inf, np.inf]


def test_arrays_of_one_layer_share_their_scale():
    apart = together(
        {"weight": np.array([2.0]), "bias": np.array([1e-17])},
        {"weight": np.array([2.0]), "bias": np.array([-1e-17])},
    )
    assert apart["bias"].relative == pytest.approx(1e-17)


def test_the_first_departure_is_the_first_in_order_and_nan_counts():
    small, large, odd = Difference(0, 1e-12), Difference(0, 1e-3), Difference(np.nan, np.nan)
    measured = [
        Measured("training", name, "relu", "output", apart)
        for name, apart in (("a", small), ("b", large), ("c", large))
    ]
    assert first_departure(measured, 1e-9) is measured[1]
    assert first_departure(measured[:1], 1e-9) is None
    assert first_departure([measured[0]._replace(difference=odd)], 1e-9) is not None


def test_what_is_as_close_to_float64_as_torch_is_rounding():
    apart = Measured("training", "a", "batch_norm", "input gradient", Difference(1.0, 1e-3))
    assert apart.departs(1e-4)
    assert not apart.departs(1e-2)
    assert not apart._replace(errors=Errors(2e-3, 1e-3)).departs(1e-4)
    assert not apart._replace(errors=Errors(1e-6, 1e-3)).departs(1e-4)  # torch alone is off
    assert apart._replace(errors=Errors(1e-3, 1e-6)).departs(1e-4)
    assert apart._replace(errors=Errors(np.nan, 1e-3)).departs(1e-4)
    assert apart._replace(errors=Errors(np.inf, 1e-3)).departs(1e-4)


def test_errors_are_measured_by_the_exact_arrays_and_absent_where_one_is_missing():
    ours, theirs, exact = ({"a": np.array([value, 4.0])} for value in (1.5, 2.0, 2.0))
    assert comparison.errors("a", ours, theirs, exact) == (0.125, 0.0)
    assert comparison.errors("a", ours, theirs, exact, 1.0) == (0.5, 0.0)
    assert comparison.errors("a", ours, theirs, {}) is None


def test_float64_goes_in_step_and_measures_every_error_of_float32():
    shape = (2, 9, 8)
    spec = Spec.from_yaml(BRANCHES)
    weights = initial_weights(spec, shape, 5)
    loss = Loss(spec.output, FITTING[spec.output][0])
    with_exact = BothEngines(spec, shape, 5, weights, loss, "float32", exact=True)
    plain = compared(both(spec, shape, 5, "float32"), shape, 5)
    judged = compared(with_exact, shape, 5)
    assert [one._replace(errors=None) for one in judged] == plain
    assert all(one.errors is None for one in plain)
    for one in judged:
        assert one.errors is not None, one
        assert max(one.errors) < 1e-5, one
    output, *_ = with_exact.compare_predictions(batch_for(shape, 5).inputs)
    assert 0 < max(output.errors) < 1e-5


def test_the_table_has_a_row_a_layer_with_the_worst_parameter():
    quantities = {"output": 1.0, "gradient of weight": 2.0, "gradient of bias": 3.0, "running_var": 9.0}
    measured = [
        Measured("training", "a", "conv2d", name, Difference(0, value)) for name, value in quantities.items()
    ]
    (row,) = comparison.rows(measured)
    assert (row.output, row.input_gradient) == (Difference(0, 1.0), None)
    assert row.parameter_gradient == Difference(0, 3.0)


# Networks


@pytest.mark.parametrize("dtype", comparison.TOLERANCES)
@pytest.mark.parametrize("name", [name for name in names() if name not in ("vgg6", "custom-cnn")])
def test_every_layer_agrees_within_rounding(name, dtype):
    shape, classes = SHAPES.get(name, (3, 32, 32)), 2 if name in TWO_CLASSES else 10
    measured = compared(both(load_spec(name), shape, classes, dtype), shape, classes)
    assert first_departure(measured, comparison.TOLERANCES[dtype]) is None
    assert first_departure(measured, 1e-22) is not None  # they are not the same numbers either


@pytest.mark.slow
@pytest.mark.parametrize("dtype", comparison.TOLERANCES)
@pytest.mark.parametrize("name", ["vgg6", "custom-cnn"])
def test_every_layer_of_the_larger_nets_agrees_within_rounding(name, dtype):
    measured = compared(both(load_spec(name), (3, 32, 32), 10, dtype), (3, 32, 32))
    assert first_departure(measured, comparison.TOLERANCES[dtype]) is None


def test_blocks_branches_and_shortcuts_are_all_compared():
    spec = Spec.from_yaml(BRANCHES)
    pair = both(spec, (2, 9, 8), 5)
    measured = compared(pair, (2, 9, 8), 5)
    assert first_departure(measured, comparison.TOLERANCES["float64"]) is None
    rows = [row for row in comparison.rows(measured) if row.mode == "training"]
    paths = [path for path, _ in pair.ours.walk() if path]
    assert {row.layer for row in rows} == set(paths)
    assert {"parallel1.branch2.conv1", "residual1.shortcut.match", "residual1.shortcut"} <= set(paths)
    for row in rows:
        assert row.output is not None, row
        assert row.input_gradient is not None, row
        assert (row.parameter_gradient is None) == (row.kind not in ("conv2d", "linear", "batch_norm")), row


def test_ties_and_zeros_are_decided_alike_although_rounding_differs():
    spec = load_spec("vgg6")
    pair = both(spec, (3, 16, 16), 10, "float32")
    flat = Batch(np.full((4, 3, 16, 16), 0.3, np.float32), np.arange(4))  # every pooling window is a tie
    measured = [*pair.compare(flat, "evaluation"), *pair.compare(flat, "training")]
    assert first_departure(measured, comparison.TOLERANCES["float32"]) is None


def test_torch_takes_the_masks_that_numpy_has_drawn_new_ones_each_step():
    pair = both(load_spec("mlp", {"dropout": 0.5}), (1, 4, 4), 10)
    masks = []
    for seed in (0, 0, 1):
        pair.compare(batch_for((1, 4, 4), 10), "training", seed)
        masks.append(pair.theirs.dropout1.mask.numpy().copy())
        np.testing.assert_array_equal(masks[-1], pair.ours.layers["dropout1"].last_mask)
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


def test_torchs_generator_is_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    pair = both(load_spec("mlp", {"dropout": 0.5}), (1, 4, 4), 10)
    compared(pair, (1, 4, 4))
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_without_a_mask_says_so():
    with pytest.raises(RuntimeError, match="expected a mask"):
        watching_torch.MaskedDropout(0.5)(torch.zeros(2))


@pytest.mark.parametrize(("name", "settings"), [("sgd", {"momentum": 0.9}), ("adam", {}), ("adamw", {})])
def test_training_stays_together_with_every_optimizer(name, settings):
    spec = load_spec("mynet", {"width": 4})
    pair = both(spec, (1, 8, 8), 10)
    batches = [batch_for((1, 8, 8), 10, 8, seed) for seed in range(5)]
    done: list[int] = []
    losses = pair.train(batches, name, on_step=done.append, lr=1e-3, **settings)
    assert done == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(*np.array(losses).T, rtol=1e-9)
    assert losses[0][0] != losses[-1][0]


# What must be found, and where


def departure(name: str, **options) -> Measured:
    spec = load_spec(name, options)
    found = first_departure(compared(both(spec, (3, 12, 12), 10), (3, 12, 12)), 1e-10)
    assert found is not None
    return found


def test_a_weight_changed_in_one_engine_is_named():
    pair = both(load_spec("mynet"), (3, 12, 12), 10)
    pair.ours.parameters()["residual1.conv2.weight"].value[0] += 1e-6
    found = first_departure(compared(pair, (3, 12, 12)), 1e-10)
    assert (found.layer, found.kind, found.quantity) == ("residual1.conv2", "conv2d", "output")
    assert found.mode == "evaluation"
    assert "residual1.conv2 (conv2d), evaluation: its output differs by" in str(found)


def test_only_the_layer_with_the_changed_weight_departs():
    pair = both(load_spec("mynet"), (3, 12, 12), 10)
    pair.theirs.conv3.weight.data[0, 0, 0, 0] += 0.1
    outputs = [one for one in compared(pair, (3, 12, 12)) if one.quantity == "output"]
    assert {one.layer for one in outputs if one.difference.relative > 1e-10} == {"conv3"}


def test_a_kernel_that_is_not_flipped_backward_is_named_last_layer_first(monkeypatch):
    right = functional.conv2d_backward

    def wrong(grad, x, weight, *arguments, **options):
        return right(grad, x, weight[:, :, ::-1, ::-1].copy(), *arguments, **options)

    monkeypatch.setattr(learned.F, "conv2d_backward", wrong)
    found = departure("engine-cnn")
    assert (found.layer, found.quantity) == ("conv2", "input gradient")


def test_a_bias_gradient_not_summed_over_positions_is_named(monkeypatch):
    right = functional.conv2d_backward

    def wrong(grad, *arguments, **options):
        grad_x, grad_weight, _ = right(grad, *arguments, **options)
        return grad_x, grad_weight, grad[:, :, 0, 0].sum(axis=0)

    monkeypatch.setattr(learned.F, "conv2d_backward", wrong)
    found = departure("engine-cnn")
    assert (found.layer, found.quantity) == ("conv2", "gradient of bias")


def test_a_biased_running_variance_is_named_in_training_although_outputs_agree(monkeypatch):
    right = functional.update_running

    def wrong(statistics, mean, var, momentum, **options):
        new_mean, new_var = right(statistics, mean, var, momentum, **options)
        return new_mean, var + (new_var - var) * 0.99

    monkeypatch.setattr(normalization.F, "update_running", wrong)
    found = departure("mynet")
    assert (found.mode, found.layer, found.quantity) == ("training", "batch_norm1", "running_var")


def test_a_block_that_does_not_add_its_input_is_named_itself(monkeypatch):
    monkeypatch.setattr(blocks.Residual, "forward", lambda self, x: self.main.forward(x))
    found = departure("mynet")
    assert (found.layer, found.kind, found.quantity) == ("residual1", "residual", "output")


def test_a_wrong_slope_of_an_activation_is_named(monkeypatch):
    monkeypatch.setattr(layers.ReLU, "backward", lambda self, grad: grad)
    found = departure("engine-cnn")
    assert (found.layer, found.quantity) == ("relu2", "input gradient")


def test_a_wrong_loss_is_named(monkeypatch):
    pair = both(load_spec("engine-cnn"), (3, 12, 12), 10)
    pair.torch_loss = Loss("logits", "cross-entropy", label_smoothing=0.1)
    found = first_departure(compared(pair, (3, 12, 12)), 1e-10)
    assert (found.layer, found.quantity) == ("loss", "value")

import math

import numpy as np
import pytest
import torch
from torch import nn

from striate.architectures import Spec, check_weights, initial_weights, load_spec, weight_shapes
from striate.architectures.layers import BatchNorm, Conv2d, Flatten, Linear, ReLU
from striate.errors import SpecError

SHAPE = (3, 16, 16)


def wide(init):
    layers = (
        Conv2d(128, 3, groups=1, init=init),
        BatchNorm(),
        Flatten(),
        Linear(64, init=init),
        Linear("num_classes"),
    )
    return Spec("wide", layers)


def test_seed_decides_every_weight():
    one, two, other = (initial_weights(wide("torch"), SHAPE, 10, seed) for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert not np.array_equal(one["conv1.weight"], other["conv1.weight"])
    assert not np.array_equal(one["conv1.bias"], other["conv1.bias"])


def test_another_layer_leaves_the_other_weights_as_they_are():
    plain = Spec("plain", (Conv2d(4, 3), Flatten(), Linear("num_classes")))
    more = Spec(
        "more", (Conv2d(4, 3), ReLU(), Conv2d(4, 3, padding=1, name="new"), Flatten(), Linear("num_classes"))
    )
    before, after = initial_weights(plain, SHAPE, 10), initial_weights(more, SHAPE, 10)
    assert set(after) - set(before) == {"new.weight", "new.bias"}
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])


def test_default_is_distributed_as_in_torch():
    weights = initial_weights(wide("torch"), SHAPE, 10)
    conv = nn.Conv2d(3, 128, 3)
    for ours, theirs in ((weights["conv1.weight"], conv.weight), (weights["linear1.bias"], None)):
        bound = 1 / math.sqrt(27 if theirs is not None else 128 * 14 * 14)
        assert np.abs(ours).max() <= bound
        assert np.abs(ours).max() > 0.9 * bound
        if theirs is not None:
            assert theirs.abs().max().item() == pytest.approx(bound, rel=0.01)
            assert ours.std() == pytest.approx(theirs.std().item(), rel=0.05)


def test_groups_narrow_the_fan_in():
    spec = Spec("grouped", (Conv2d(64, 3, groups=4), Flatten(), Linear("num_classes")))
    weights = initial_weights(spec, (32, 8, 8), 10)
    assert weights["conv1.weight"].shape == (64, 8, 3, 3)
    assert np.abs(weights["conv1.weight"]).max() == pytest.approx(1 / math.sqrt(72), rel=0.01)


def test_he_and_normal_have_their_deviation_and_no_bias():
    he = initial_weights(wide("he"), SHAPE, 10)
    assert he["conv1.weight"].std() == pytest.approx(math.sqrt(2 / 27), rel=0.05)
    normal = initial_weights(wide({"normal": 0.001}), SHAPE, 10)
    assert normal["linear1.weight"].std() == pytest.approx(0.001, rel=0.01)
    assert not he["conv1.bias"].any()
    assert not normal["linear1.bias"].any()


def test_engine_cnn_begins_as_its_reference():
    weights = initial_weights(load_spec("engine-cnn"), (3, 32, 32), 10)
    assert weights["conv2.weight"].std() == pytest.approx(math.sqrt(2 / 288), rel=0.05)
    assert weights["linear1.weight"].std() == pytest.approx(0.001, rel=0.05)
    assert not any(values.any() for name, values in weights.items() if name.endswith("bias"))


def test_batch_norm_begins_as_in_torch():
    weights = initial_weights(wide("torch"), SHAPE, 10)
    for name, tensor in nn.BatchNorm2d(128).state_dict().items():
        ours = weights[f"batch_norm1.{name}"]
        assert torch.equal(torch.from_numpy(ours), tensor)


def test_dtypes_are_float32_and_counts_int64():
    for name, values in initial_weights(wide("torch"), SHAPE, 10).items():
        assert values.dtype == (np.int64 if name.endswith("num_batches_tracked") else np.float32)


def test_weights_that_do_not_fit_are_refused():
    spec = load_spec("simple-cnn")
    weights, expected = initial_weights(spec, (3, 32, 32), 10), weight_shapes(spec, (3, 32, 32), 10)
    check_weights(weights, expected)
    with pytest.raises(SpecError, match=r"conv1.weight is missing \(1 in all\)"):
        check_weights({name: values for name, values in weights.items() if name != "conv1.weight"}, expected)
    with pytest.raises(SpecError, match="it has no other"):
        check_weights({**weights, "other": np.zeros(3)}, expected)
    with pytest.raises(SpecError, match=r"conv1.bias is \(3,\); expected \(10,\)"):
        check_weights({**weights, "conv1.bias": np.zeros(3, np.float32)}, expected)


def test_identity_kernels_hand_on_their_channels_and_the_others_are_torchs():
    identity, torchs = (initial_weights(wide(init), SHAPE, 10) for init in ("identity", "torch"))
    weight, other = identity["conv1.weight"], torchs["conv1.weight"]
    channels = weight.shape[1]
    image = np.random.default_rng(0).normal(size=(channels, 3, 3)).astype(np.float32)
    handed_on = np.einsum("kcyx,cyx->k", weight[:channels], image)
    assert np.array_equal(handed_on, image[:, 1, 1])
    assert not identity["conv1.bias"][:channels].any()
    assert np.array_equal(weight[channels:], other[channels:])

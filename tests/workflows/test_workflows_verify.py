"""`striate.verify`: real images through both engines, and what it says of them."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

import striate
from striate import bundle
from striate.cli.verification import explain
from striate.engine import functional
from striate.engine.layers import learned, normalization
from striate.errors import BundleError, SpecError, UserError
from striate.workflows.listener import Listener

QUICK = {"batch_size": 8, "steps": 3}


class Heard(Listener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []

    def stage(self, name: str, done: int, total: int) -> None:
        self.stages.append((name, done, total))


@pytest.fixture
def stripes(write_stripes, tmp_path):
    return write_stripes(tmp_path / "stripes", {"across": 20, "down": 20})


@pytest.fixture
def wrong_backward(monkeypatch):
    """A convolution whose kernel is not flipped for the input's gradient; all shapes stay right."""
    right = functional.conv2d_backward

    def wrong(grad, x, weight, *arguments, **options):
        return right(grad, x, weight[:, :, ::-1, ::-1].copy(), *arguments, **options)

    monkeypatch.setattr(learned.F, "conv2d_backward", wrong)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_net_of_the_zoo_passes_on_real_images(dtype):
    result = striate.verify("mynet", "digits", dtype=dtype, **QUICK)
    assert result.passed
    assert result.first_departure is None
    assert (result.images, result.input_shape, result.dtype) == (8, (1, 8, 8), dtype)
    table = result.layers
    assert set(table["mode"]) == {"evaluation", "training"}
    assert list(table.columns[:3]) == ["mode", "layer", "kind"]
    assert (table.filter(like="relative").max() < result.tolerance).all()
    assert table["output_absolute"].max() > 0
    losses = result.losses
    assert list(losses["step"]) == [1, 2, 3]
    np.testing.assert_allclose(losses["numpy"], losses["torch"], rtol=1e-5)
    assert len(set(losses["numpy"])) == 3


@pytest.mark.parametrize("name", ["cats-cnn", "two-digit", "stride-simple"])
def test_every_kind_of_output_is_verified(stripes, name):
    assert striate.verify(name, stripes, image_size=70 if name == "cats-cnn" else 12, **QUICK).passed


def test_a_net_of_ones_own_with_dropout_passes(stripes, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(
        "layers:\n  - conv2d: {out_channels: 4, kernel_size: 3}\n  - relu\n  - dropout: {p: 0.5}\n"
        "  - flatten\n  - linear: {out_features: num_classes}\n"
    )
    result = striate.verify(path, stripes, **QUICK)
    assert result.passed
    assert list(result.layers["layer"][:5]) == ["conv1", "relu1", "dropout1", "flatten1", "linear1"]


def test_a_run_is_verified_with_its_own_weights_and_preprocessing(stripes, tmp_path):
    run = striate.train(stripes, model="simple-cnn", epochs=1, batch_size=8, out=tmp_path / "run")
    result = striate.verify(run.folder, stripes, **QUICK)
    assert result.passed
    fresh = striate.verify("simple-cnn", stripes, **QUICK)
    assert result.losses["numpy"][0] != fresh.losses["numpy"][0]
    with pytest.raises(UserError, match="--image-size comes with the trained model"):
        striate.verify(run.folder, stripes, image_size=8)


def test_the_result_repeats_and_follows_the_seed(stripes):
    first, again = (striate.verify("simple-cnn", stripes, seed=3, **QUICK) for _ in range(2))
    other = striate.verify("simple-cnn", stripes, seed=4, **QUICK)
    assert list(first.losses["numpy"]) == list(again.losses["numpy"])
    assert list(first.losses["numpy"]) != list(other.losses["numpy"])


def test_a_wrong_layer_is_named_and_the_result_has_not_passed(stripes, wrong_backward):
    result = striate.verify("simple-cnn", stripes, **QUICK)
    assert not result.passed
    departure = result.first_departure
    assert (departure.mode, departure.layer, departure.quantity) == ("evaluation", "conv2", "input gradient")


def test_losses_that_drift_apart_are_a_departure(stripes, monkeypatch):
    from striate.engine.optim import SGD

    right = SGD.step

    def wrong(self) -> None:
        self.lr = 1e-2
        right(self)

    monkeypatch.setattr(SGD, "step", wrong)
    result = striate.verify("simple-cnn", stripes, **QUICK)
    assert not result.passed
    departure = result.first_departure
    assert (departure.layer, departure.quantity) == ("loss", "value after step 1")
    assert "look at the optimizer" in explain(departure)


def test_a_momentum_that_is_forgotten_is_a_departure_in_step_too(stripes, monkeypatch):
    from striate.engine.optim import SGD

    right = SGD.step

    def wrong(self) -> None:
        self.momentum = 0.5
        right(self)

    monkeypatch.setattr(SGD, "step", wrong)
    result = striate.verify("simple-cnn", stripes, lr=0.05, **QUICK)
    assert result.first_departure.quantity == "value after step 2"


def test_rounding_that_training_multiplies_is_no_departure():
    """The flat areas of enlarged digits are ties of the pooling windows, which rounding upstream decides."""
    result = striate.verify("speed-cnn", "digits", image_size=32, batch_size=8, steps=4)
    assert any(apart.relative > result.loss_tolerance for apart in result.step_differences())
    assert len(result.in_step) == 4
    assert result.passed
    np.testing.assert_allclose(*zip(*result.in_step, strict=True), rtol=1e-12)


def test_a_normalisation_over_two_values_is_judged_by_float64():
    result = striate.verify("photo-net", "digits", batch_size=2, steps=0, dtype="float32")
    assert result.passed
    for one in result.roundings:
        assert one.difference.relative > result.tolerance
        assert one.errors.ours <= 10 * one.errors.theirs
    assert not result.departing


def test_a_tolerance_that_is_given_is_not_judged(stripes):
    result = striate.verify("mynet", stripes, dtype="float32", tolerance=1e-9, batch_size=2, steps=0)
    assert not result.passed
    assert not result.roundings
    assert ("evaluation", "conv1", "output") in result.departing


@pytest.mark.parametrize("batch_size", [2, 8])
def test_float64_does_not_excuse_a_wrong_layer(batch_size, wrong_backward):
    result = striate.verify("photo-net", "digits", batch_size=batch_size, steps=0, dtype="float32")
    departure = result.first_departure
    assert (departure.kind, departure.quantity) == ("conv2d", "input gradient")
    assert departure.errors.ours > 0.1
    assert departure.errors.theirs < 1e-5


@pytest.mark.parametrize("batch_size", [2, 8])
def test_float64_does_not_excuse_a_normalisation_that_takes_its_statistics_as_constants(
    batch_size, monkeypatch
):
    right = functional.batch_norm_backward

    def wrong(grad, x, weight=None, *arguments, saved, **options):
        _, *others = right(grad, x, weight, *arguments, saved=saved, **options)
        scale = saved.inverse_deviation * (1 if weight is None else weight)
        return (grad * scale[:, None, None], *others)

    monkeypatch.setattr(normalization.F, "batch_norm_backward", wrong)
    result = striate.verify("photo-net", "digits", batch_size=batch_size, steps=0, dtype="float32")
    departure = result.first_departure
    assert (departure.mode, departure.kind) == ("training", "batch_norm")
    assert departure.quantity == "input gradient"


def test_classes_may_be_one_text_as_on_the_command_line():
    listed, written = (
        striate.verify("simple-cnn", "digits", classes=classes, **QUICK) for classes in (["3", "8"], " 3, 8")
    )
    assert written.passed
    assert list(written.losses["numpy"]) == list(listed.losses["numpy"])


@pytest.mark.parametrize(
    ("layers", "passes"),
    [
        ("  - dropout: {p: 1}\n  - flatten\n  - linear: {out_features: num_classes}\n", True),
        ("  - adaptive_avg_pool2d: {output_size: [1, 2]}\n  - flatten\n", True),
        ("  - flatten\n  - linear: {out_features: num_classes, init: {normal: 1.0e+300}}\n", True),
    ],
    ids=["nothing kept", "nothing learned", "nothing finite"],
)
def test_nets_at_the_edge_are_compared(tmp_path, stripes, layers, passes):
    (tmp_path / "net.yaml").write_text(f"layers:\n{layers}")
    with np.errstate(over="ignore", invalid="ignore"):
        assert striate.verify(tmp_path / "net.yaml", stripes, channels="grey", **QUICK).passed == passes


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_a_net_without_parameters_is_not_trained(tmp_path, stripes, engine):
    (tmp_path / "net.yaml").write_text(
        "layers:\n  - adaptive_avg_pool2d: {output_size: [1, 2]}\n  - flatten\n"
    )
    with pytest.raises(UserError, match="nothing to train"):
        striate.train(
            stripes, model=str(tmp_path / "net.yaml"), engine=engine, channels="grey", out=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_float32_are_refused(stripes, tmp_path):
    run = striate.train(
        stripes, model="simple-cnn", epochs=1, batch_size=8, engine="numpy", out=tmp_path / "run"
    )
    record, weights = bundle.read(run.folder)
    weights["conv1.weight"] = weights["conv1.weight"].astype(np.float64)
    fields = ("name", "spec", "class_names", "preprocess", "data")
    bundle.write(tmp_path / "wide", weights, **{name: getattr(record, name) for name in fields})
    with pytest.raises(BundleError, match=r"wide does not fit together: conv1\.weight is float64"):
        striate.verify(tmp_path / "wide", stripes, **QUICK)


def test_a_tolerance_can_be_given(stripes):
    result = striate.verify("simple-cnn", stripes, tolerance=1e-30, **QUICK)
    assert not result.passed
    assert result.tolerance == 1e-30


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_another_optimizer_takes_other_steps(stripes, optimizer):
    other = striate.verify("simple-cnn", stripes, optimizer=optimizer, lr=0.01, **QUICK)
    sgd = striate.verify("simple-cnn", stripes, lr=0.01, **QUICK)
    assert other.passed
    assert other.losses["numpy"][0] == sgd.losses["numpy"][0]
    assert other.losses["numpy"][2] != sgd.losses["numpy"][2]


def test_without_steps_there_are_no_losses(stripes):
    result = striate.verify("simple-cnn", stripes, steps=0)
    assert result.passed
    assert len(result.losses) == 0


def test_small_data_gives_a_small_batch_and_epochs_follow_one_another(write_stripes, tmp_path):
    data = write_stripes(tmp_path / "few", {"a": 4, "b": 4})
    result = striate.verify("simple-cnn", data, steps=5)
    assert 2 <= result.images <= 8
    assert len(result.losses) == 5


def test_stages_are_told(stripes):
    heard = Heard()
    striate.verify("simple-cnn", stripes, listener=heard, **QUICK)
    assert ("comparing", 3, 3) in heard.stages
    assert ("training both", 3, 3) in heard.stages


def test_mistakes_are_refused_with_what_to_do(stripes):
    with pytest.raises(UserError, match="needs images"):
        striate.verify("mynet")
    with pytest.raises(SpecError, match="did you mean 'mynet'"):
        striate.verify("mynett", stripes)
    with pytest.raises(UserError, match="dtype"):
        striate.verify("mynet", stripes, dtype="float16")
    with pytest.raises(UserError, match="unknown setting 'epochs'"):
        striate.verify("mynet", stripes, epochs=3)
    with pytest.raises(UserError, match="a pretrained network has no options"):
        striate.verify("lite0", model_options={"width": 3})


def test_without_scikit_image_the_photos_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(UserError, match="pip install scikit-image"):
        striate.verify("lite0")


@pytest.mark.slow
def test_lite0_is_verified_on_the_sample_photos_within_rounding():
    result = striate.verify("lite0", dtype="float32", steps=1)
    assert result.passed
    assert result.tolerance == 1e-4
    assert len(result.layers) > 2 * 100
    assert [named.picture for named in result.named] == ["chelsea", "coffee", "rocket"]
    for named, first in zip(result.named, ("tiger cat", "espresso", "missile"), strict=True):
        assert named.ours[0][0] == first
        assert [name for name, _ in named.ours] == [name for name, _ in named.theirs]
        for (_, ours), (_, theirs) in zip(named.ours, named.theirs, strict=True):
            assert math.isclose(ours, theirs, rel_tol=1e-4)


@pytest.mark.slow
def test_lite0_takes_other_images_too(stripes):
    result = striate.verify("lite0", stripes, dtype="float32", batch_size=2, steps=0)
    assert result.passed
    assert (result.input_shape, result.named) == ((3, 224, 224), ())

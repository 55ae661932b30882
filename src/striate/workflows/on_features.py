"""Training a linear head on the features of a frozen network, which are computed once and kept."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import bundle
from striate.config import DataConfig, TrainConfig
from striate.errors import SpecError, UserError
from striate.evaluation import predictions_table
from striate.schemas import SPLITS, Predictions
from striate.workflows import records, results
from striate.workflows.calibration import calibrate
from striate.workflows.run_audit import audit_run

if TYPE_CHECKING:
    from striate.backbones import Choice
    from striate.backbones.models import Description
    from striate.data import ImageSet, ImageSets
    from striate.features import Features, Frozen, LinearHead, TrainedHead
    from striate.features.hidden_layer import HiddenHead, TrainedHiddenHead
    from striate.runs import Run
    from striate.workflows.drawing import DrawingProcess
    from striate.workflows.listener import Listener

USED = DataConfig.model_fields.keys() | {
    "model", "model_options", "strategy", "weights",  # the network
    "head", "head_hidden", "head_dropout", "head_output", "feature_views",
    "freeze", "first_lr", "head_epochs", "unfreeze_epochs", "engine",  # refused where they make no sense
    "recipe", "target", "audit", "figures", "goal",  # of the run and its report
}  # fmt: skip
"""Settings that count here; `seed` deals the folds."""
IGNORED = tuple(name for name in TrainConfig.model_fields if name not in USED)
"""All others are of a training by gradient steps, which this one has none of."""


@dataclass(frozen=True)
class FrozenNetwork:
    """A network whose layers below the head stay as they are.

    Attributes:
        arrays: every weight and buffer by name; those of the head are random.
        head_names: names of weight and bias of each of the head's layers.
        frozen: its features.
        levels: how many of them come from each level of the network; empty: from one.
        source: where its weights come from, for people.
    """

    arrays: dict[str, np.ndarray]
    head_names: tuple[tuple[str, str], ...]
    frozen: Frozen
    levels: tuple[int, ...]
    source: str

    def with_head(self, head: LinearHead | HiddenHead) -> dict[str, np.ndarray]:
        """Return every weight and buffer, with those of a trained head."""
        trained: dict[str, np.ndarray] = {}
        for (weight, bias), layer in zip(self.head_names, head.layers, strict=True):
            trained |= {weight: layer.weight.reshape(self.arrays[weight].shape), bias: layer.bias}
        return self.arrays | trained


@dataclass(frozen=True)
class FittedOnFeatures:
    """What came of the training.

    Attributes:
        weights: every weight and buffer by name.
        predictions: of each split but the training's, as the network would give them.
        trained: the head and what was chosen for it.
        computed: images whose features were not kept from an earlier run.
        seconds: from the first feature to the head.
        messages: what the user should know.
    """

    weights: dict[str, np.ndarray]
    predictions: dict[str, Predictions]
    trained: TrainedHead | TrainedHiddenHead
    computed: int
    seconds: float
    messages: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """Return what `run.json` says of the training."""
        return {
            "stopped": "finished",
            "message": "",
            "seconds": self.seconds,
            "device": "ONNX Runtime and NumPy on cpu",
            "computed_features": self.computed,
        } | self.trained.describe()


def train(
    run: Run,
    config: TrainConfig,
    choice: Choice,
    sets: ImageSets,
    listener: Listener,
    beside: DrawingProcess,
) -> Run:
    """Train a head, write the bundle, evaluate it and write the report.

    Args:
        run: the folder; what an earlier attempt left there is written anew.
        config: the settings.
        choice: the network.
        sets: the images.
        listener: hears how it goes.
        beside: draws the figures.

    Raises:
        UserError: the head is of another kind than those that are computed on features.
        DataError: a file cannot be read any more.
    """
    for message in _check(config):
        listener.message(message)
    network = open_network(choice, config, sets.preprocess.input_shape, len(sets.class_names))
    records.record_start(run, config, choice, sets, network.source)
    fitted = fit(network, config, sets, listener)
    for message in fitted.messages:
        listener.message(message)
    records.write_bundle(run, choice, sets, network.source, fitted.weights)
    for split, predictions in fitted.predictions.items():
        run.write_predictions(split, predictions, predictions_table(predictions))
    records.write_facts(run, choice, sets, network.source, fitted.describe())
    calibrate(run)
    audit_run(run, config, sets, listener)
    results.write_results(run, listener, figures=config.figures, beside=beside)
    bundle.amend(run.model, metrics=run.metrics())
    return run


def _check(config: TrainConfig) -> list[str]:
    """Return a message for settings without effect.

    Raises:
        UserError: the head is of another kind than those that are computed on features.
    """
    if config.head_output != "logits" or (config.head_dropout and config.head_hidden is None):
        raise UserError(
            "--strategy features trains a linear head with a logit for each class, or one with a hidden "
            "layer (--head-hidden) and dropout; for another head choose --strategy head."
        )
    defaults = type(config).model_fields
    given = [name for name in IGNORED if getattr(config, name) != defaults[name].default]
    if not given:
        return []
    options = ", ".join("--" + name.replace("_", "-") for name in given)
    return [
        f"Without effect where a head is computed on features: {options}. Choose --strategy head to use them."
    ]


def open_network(
    choice: Choice, config: TrainConfig, shape: tuple[int, int, int], classes: int
) -> FrozenNetwork:
    """Return the network with its first weights; torch is loaded only for one of a library.

    Args:
        choice: the network and its weights.
        config: its seed counts.
        shape: of the input, (C, H, W).
        classes: outputs of the head.
    """
    from striate.architectures import Spec
    from striate.backbones.last_layer import head_tensors
    from striate.backbones.levels import feature_levels
    from striate.backbones.lite0_weights import checksum
    from striate.features import Frozen

    described = choice.model.description
    if isinstance(described, Spec):  # its weights will do: nothing is computed by it here
        arrays, source = choice.model.first_weights(shape, classes, weights=choice.weights, seed=config.seed)
        head_names = head_tensors(arrays, described)
    else:
        started = choice.model.start(shape, classes, weights=choice.weights, seed=config.seed)
        arrays, source = _arrays(started.network), started.source
        head_names = head_tensors(arrays, described, started.network.head_name)
    body = {name: array for name, array in arrays.items() if not any(name in pair for pair in head_names)}

    def module() -> Any:
        from striate.backbones import assemble, split

        return split(assemble(described, shape, classes, arrays)).extractor

    key = checksum(body) + f" {_below_head(described).to_dict()} {shape}"  # its ONNX file is of one shape

    def written() -> bytes | None:
        return _onnx_of(described, shape, classes, arrays)

    frozen = Frozen(_digest(key), module, written)
    levels = feature_levels(described, shape, classes)
    return FrozenNetwork(arrays, head_names, frozen, levels, source or "random")


def _below_head(described: Description) -> Description:
    """Return the description with a plain head: features do not depend on the options of the head."""
    from striate.architectures import Spec
    from striate.backbones.description import Head
    from striate.backbones.spec_heads import without_options

    if isinstance(described, Spec):
        return without_options(described)
    return described.model_copy(update={"head": Head(base=described.head.base)})


def _onnx_of(
    described: Description, shape: tuple[int, int, int], classes: int, arrays: Mapping[str, np.ndarray]
) -> bytes | None:
    """Return the layers below the head as an ONNX file, where they are described and all can be written."""
    from striate.architectures import Spec
    from striate.architectures.to_onnx import to_onnx
    from striate.backbones.spec_heads import head_layers

    if not isinstance(described, Spec):
        return None
    try:
        return to_onnx(described, shape, classes, arrays, until=head_layers(described)[0])
    except SpecError:
        return None


def fit(
    network: FrozenNetwork,
    config: TrainConfig,
    sets: ImageSets,
    listener: Listener,
    splits: Collection[str] = SPLITS,
) -> FittedOnFeatures:
    """Compute features, choose the penalty on the training images alone, and train the head.

    Args:
        network: whose head is to be trained.
        config: its seed counts.
        sets: the images.
        listener: hears how it goes.
        splits: that are looked at; those besides `train` are predicted.

    Raises:
        DataError: a file cannot be read any more.
    """
    started = time.perf_counter()
    all_parts = {"train": sets.train, "val": sets.val, "test": sets.test}
    parts = {name: part for name, part in all_parts.items() if part is not None and name in splits}
    found = features_of(network.frozen, sets, parts, listener)
    listener.stage("training the head", 0, 1)
    trained, remarks = _train_head(network, found["train"].values, config, sets)
    listener.stage("training the head", 1, 1)
    predictions = {
        name: predict(trained.head, found[name].values, part, sets.class_names)
        for name, part in parts.items()
        if part is not None and name != "train"
    }
    return FittedOnFeatures(
        weights=network.with_head(trained.head),
        predictions=predictions,
        trained=trained,
        computed=sum(features.computed for features in found.values()),
        seconds=time.perf_counter() - started,
        messages=tuple(
            dict.fromkeys([text for features in found.values() for text in features.messages] + remarks)
        ),
    )


def _train_head(
    network: FrozenNetwork, features: np.ndarray, config: TrainConfig, sets: ImageSets
) -> tuple[TrainedHead | TrainedHiddenHead, list[str]]:
    """Return the head on the training images' features, and what to say of it."""
    from striate.features import train_head
    from striate.features.axes import kept_axes
    from striate.features.heads import held_out_loss
    from striate.features.hidden_layer import train_hidden_head

    samples = (features, sets.train.labels, len(sets.class_names))
    axes = kept_axes(features, network.levels)
    dealt: dict[str, Any] = {"groups": _groups(sets), "seed": config.seed}
    linear = train_head(*samples, axes=axes, **dealt)
    if config.head_hidden is None:
        return linear, []
    hidden = train_hidden_head(*samples, config.head_hidden, dropout=config.head_dropout, axes=axes, **dealt)
    loss = held_out_loss(*samples, linear.choice.strength, levels=network.levels, **dealt)
    compared = f"log loss {hidden.loss:.4f} on held-out folds, {loss:.4f} of a linear head"
    verdict = "is worth its place" if hidden.loss < loss else "gains nothing: leave out --head-hidden"
    return hidden, [f"The hidden layer {verdict} ({compared})."]


def features_of(
    frozen: Frozen, sets: ImageSets, parts: Mapping[str, ImageSet], listener: Listener
) -> dict[str, Features]:
    """Return the features of each split, in the order of its images."""
    from striate.features import cached_features

    return {
        name: cached_features(part.pixels, sets.digests(part), sets.preprocess, frozen, listener.stage)
        for name, part in parts.items()
    }


def _groups(sets: ImageSets) -> Sequence[str] | None:
    """Return the group of each training image."""
    if sets.groups is None:
        return None
    groups = dict(zip(sets.samples["path"], sets.groups, strict=True))
    return [groups[path] for path in sets.train.paths]


def predict(
    head: LinearHead | HiddenHead, features: np.ndarray, images: ImageSet, class_names: Sequence[str]
) -> Predictions:
    """Return what the network with this head puts out for images with these features, float32 (N, F)."""
    logits = head.logits(features).astype(np.float32)
    return Predictions(tuple(images.paths), images.labels, logits, tuple(class_names))


def _arrays(network: Any) -> dict[str, np.ndarray]:
    """Return the weights and buffers of a network of torch."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def _digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()

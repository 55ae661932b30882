"""What a training with a pretrained network needs besides: its choice, its images, what to say of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from striate.errors import UserError
from striate.schemas import Preprocess

if TYPE_CHECKING:
    from striate.backbones import Choice, Model, Plan, Preprocessing
    from striate.config import TrainConfig
    from striate.data import ImageSet, ImageSets, Survey
    from striate.workflows.listener import Listener

AUTO = "auto"
PHOTO_SIDE = 64
"""Pixels of the median image's shorter side from which images are taken for photos."""
EMBEDDED = "efficientnet-lite0-levels"
"""The network for photos: its weights come with Striate."""
FROM_SCRATCH = "mynet"
MOST_ENLARGED = 4
"""Times, at most, that images are enlarged unasked for a network that is too deep for them."""
WHITENED_IMAGES = 2000
"""Training images, at most, whose patches a whitening first layer is computed from."""


def choose_network(config: TrainConfig, listener: Listener) -> Choice:
    """Return network, weights and strategy of a training; says what the user should know.

    Raises:
        SpecError: there is no such network.
        UserError: the settings exclude each other.
    """
    from striate.backbones import choose

    side = config.image_size
    choice = choose(config, None if side is None else (side, side))
    if config.engine != "torch" and choice.strategy != "scratch":
        raise UserError(
            f"--strategy {choice.strategy} needs PyTorch; choose --engine torch, or --strategy scratch."
        )
    if choice.model.has_pretrained and config.channels == "grey":
        raise UserError(
            f"{choice.model.name} takes colour images; grey ones are converted: leave out --channels grey."
        )
    _check_views(config, choice)
    for text in choice.warnings:
        listener.message(text)
    return choice


def _check_views(config: TrainConfig, choice: Choice) -> None:
    """Refuse views where no features are averaged, or where pixels have no neighbours any more."""
    if config.feature_views == "one":
        return
    if choice.strategy != "features":
        raise UserError(
            f"--feature-views is an option of --strategy features, not of {choice.strategy}; choose that, or "
            "leave it out."
        )
    if config.permute_pixels is not None:
        raise UserError(
            "--permute-pixels leaves no picture that could be mirrored; leave out --feature-views."
        )


def resolve_model(config: TrainConfig, listener: Listener) -> tuple[TrainConfig, Survey | None]:
    """Return `config` with a network in place of `auto`, and what was seen of the images to choose it.

    Photos, which are images of at least `PHOTO_SIDE` pixels at the median, get the embedded pretrained
    network and, where no strategy is named, a head on its features; all others are learned from scratch.
    """
    if config.model != AUTO:
        return config, None
    from striate.data import survey

    found = survey(config.data_config(), progress=listener.stage)
    if config.strategy == AUTO:
        computed = config.engine == "torch" and config.permute_pixels is None and config.weights == AUTO
        photos = computed and found.median_side >= PHOTO_SIDE
        if photos and config.channels == "grey":
            photos = False
            listener.message(
                "Photos in grey are learned from scratch, for the pretrained network sees colours: without "
                "--channels grey its features usually tell more."
            )
        changes = {"model": EMBEDDED, "strategy": "features"} if photos else {"model": FROM_SCRATCH}
    else:
        changes = {"model": FROM_SCRATCH if config.strategy == "scratch" else EMBEDDED}
    return config.model_copy(update=changes), found


def prepare_images(
    config: TrainConfig, choice: Choice, found: Survey | None, listener: Listener
) -> ImageSets:
    """Return the images, prepared as the network wants them; says what the user should know.

    A pretrained network has its own size and colours. One from scratch that shrinks the images to less than
    a pixel gets them enlarged, unless their size was asked for.

    Args:
        config: the settings.
        choice: the network.
        found: the images, where they were looked at already.
        listener: hears how it goes.
    """
    from striate.data import prepare

    own = None if choice.model.preprocessing is None else as_input(choice.model.preprocessing)
    data = config.data_config()
    sets = prepare(data, found=found, network=own, progress=listener.stage)
    if side := _side_that_fits(config, choice, sets):
        sets = prepare(data.model_copy(update={"image_size": side}), found=found, progress=listener.stage)
        message = f"Images become {side} x {side}: {choice.model.name} needs larger ones."
        sets = replace(sets, messages=(*sets.messages, message))
    if own is not None:
        sets = replace(sets, messages=(*sets.messages, *_remarks(sets, choice.model)))
    if config.feature_views != "one":
        sets = replace(sets, preprocess=sets.preprocess.model_copy(update={"views": config.feature_views}))
    for message in sets.messages:
        listener.message(message)
    return sets


def _side_that_fits(config: TrainConfig, choice: Choice, sets: ImageSets) -> int | None:
    """Return the side of images that are large enough for the network; None: leave them as they are."""
    from striate.architectures import Spec
    from striate.architectures.shapes import fitting_scale

    spec, (channels, *sides) = choice.model.description, sets.preprocess.input_shape
    if config.image_size is not None or not isinstance(spec, Spec) or choice.model.preprocessing is not None:
        return None
    classes, side = len(sets.class_names), max(sides)
    if fitting_scale(spec, (channels, *sides), classes, 1):
        return None
    scale = fitting_scale(spec, (channels, side, side), classes, MOST_ENLARGED)
    return None if scale is None else scale * side


def keep_pixels(sets: ImageSets, listener: Listener) -> ImageSets:
    """Return the images with those for training and validation decoded once, and kept on disk."""
    from striate.data import keep_pixels as keep

    def kept(part: ImageSet) -> ImageSet:
        images, message = keep(part, sets.digests(part), sets.preprocess, listener.stage)
        if message:
            listener.message(message)
        return images

    return replace(sets, train=kept(sets.train), val=None if sets.val is None else kept(sets.val))


def as_input(own: Preprocessing) -> Preprocess:
    """Return what the network was trained with as the settings of an image's way in."""
    height, width = own.size
    return Preprocess(
        channels=3,
        height=height,
        width=width,
        crop_share=own.crop_share,
        interpolation=own.interpolation,
        mean=own.mean,
        std=own.std,
    )


def build_network(
    choice: Choice, config: TrainConfig, sets: ImageSets, begun_with: str | None
) -> tuple[Any, str, Plan | None]:
    """Return the network, where its first weights come from, and what of it learns; None: everything.

    Args:
        choice: the network, its weights and the strategy.
        config: `seed` and `engine` count.
        sets: the images.
        begun_with: where the first weights came from, if those of a checkpoint take their place: then none
            are read.
    """
    from striate.backbones import layout_of, make_plan

    started = choice.model.start(
        sets.preprocess.input_shape,
        len(sets.class_names),
        weights=choice.weights if begun_with is None else "random",
        seed=config.seed,
        engine=config.engine,
    )
    source = started.source or "random" if begun_with is None else begun_with
    if config.first_layer == "whitening":
        _whiten(started.network, choice, sets)
    if choice.strategy == "scratch":
        return started.network, source, None
    return started.network, source, make_plan(choice.strategy, layout_of(started.network), choice.options)


def _whiten(network: Any, choice: Choice, sets: ImageSets) -> None:
    """Compute the first layer's kernels from training images, and let them stay as they are.

    Raises:
        UserError: the strategy keeps the first layers of another training, or the network has no description.
        SpecError: the network does not begin with a convolution.
    """
    import numpy as np
    import torch

    from striate.architectures import Spec, first_convolution, whitening_kernels

    spec = choice.model.description
    if choice.strategy != "scratch" or not isinstance(spec, Spec):
        raise UserError(
            "--first-layer whitening is for networks of the zoo or of a net.yaml, trained from scratch; "
            "leave it out."
        )
    path, size, channels = first_convolution(spec, sets.preprocess.input_shape, len(sets.class_names))
    sample = sets.train.pixels.take(np.arange(min(WHITENED_IMAGES, len(sets.train))))
    kernels = whitening_kernels(sets.preprocess.normalize(sample), size, channels)
    weight = network.get_submodule(path).weight
    with torch.no_grad():
        weight[: len(kernels)] = torch.from_numpy(kernels)
    weight.requires_grad_(False)


def describe(choice: Choice, sets: ImageSets, source: str) -> dict[str, Any]:
    """Return strategy, origin of the weights and trainable parameters, for `run.json`."""
    from striate.backbones import tabulate

    described: dict[str, Any] = {"strategy": choice.strategy, "weights": source}
    if choice.strategy == "scratch":
        return described
    layout = choice.model.layout(sets.preprocess.input_shape, len(sets.class_names))
    table = tabulate(layout, choice.strategy, choice.options)
    return described | {"trainable_parameters": table.trainable, "frozen_parameters": table.frozen}


def _remarks(sets: ImageSets, model: Model) -> list[str]:
    """Return what to say where the images are not what the network was made for."""
    remarks = []
    shorter = int(sets.facts[["width", "height"]].min(axis=1).median())
    side = sets.preprocess.height
    if 2 * shorter < side:
        remarks.append(
            f"The images are smaller ({shorter} pixels) than the input of {model.name} ({side}) and are "
            "enlarged; a smaller --image-size is quicker."
        )
    return remarks

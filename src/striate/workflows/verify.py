"""One network on both engines: do they compute the same?"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.config import DataConfig, VerifyConfig, make
from striate.errors import UserError
from striate.workflows.listener import Listener
from striate.workflows.verification import Named, Verification, differences_of

if TYPE_CHECKING:
    import numpy as np

    from striate.architectures import Spec
    from striate.architectures.both_engines import Batch, BothEngines
    from striate.backbones import Backbone
    from striate.data import ImageSet
    from striate.schemas import Preprocess

PHOTOS = {"chelsea": "tabby", "coffee": "espresso", "rocket": "missile"}
"""scikit-image's sample photos, and what ImageNet calls what is on them."""
PHOTO_SET = "scikit-image's sample photos"
BUNDLE_SETTINGS = ("data_root", "classes", "seed")
"""Settings of the data that a trained model leaves open; the others come with it."""
TOP = 5


@dataclass(frozen=True)
class _Task:
    """A network with its weights, and real images for it.

    Attributes:
        spec: the network.
        input_shape: (C, H, W).
        num_classes: of the network.
        weights: all weights and buffers by name.
        data: name of the images.
        count: how many images there are.
        batches: returns endless batches of a size, the same each time.
        name_pictures: for a pretrained network, what either engine takes the pictures for.
    """

    spec: Spec
    input_shape: tuple[int, ...]
    num_classes: int
    weights: Mapping[str, np.ndarray]
    data: str
    count: int
    batches: Callable[[int], Iterator[Batch]]
    name_pictures: Callable[[np.ndarray, np.ndarray], tuple[Named, ...]] | None = None


def verify(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    *,
    listener: Listener | None = None,
    **settings: Any,
) -> Verification:
    """Compute a batch of images on both engines, train both for some steps, and compare all numbers.

    Forward and backward, in evaluation and in training mode, with the same weights and dropout masks. The
    engines go in step: each of torch's layers gets the input that the glass box's layer got, so that a
    difference is seen in the layer that makes it. The network's outputs in evaluation, and the losses of the
    training, are those of each engine on its own; where these losses part, a second training, in step,
    decides. Where layers differ in float32, float64 decides, unless a tolerance is given: what is as close to
    it as PyTorch's numbers is rounding, see `striate.architectures.comparison`.

    Args:
        model: name of a network, path of a net.yaml, folder of a bundle or run, or `lite0`, the pretrained
            EfficientNet-Lite0.
        data: folder, zip, CSV file or name of a data set; `lite0` takes scikit-image's sample photos
            unless others are given.
        listener: hears how it goes.
        settings: those of `striate.config.VerifyConfig`; `classes` may be one text, `"3,8"`, as on the
            command line.

    Raises:
        UserError: the model, the data or a setting cannot be used.
    """
    from striate.architectures.comparison import LOSS_TOLERANCES, TOLERANCES, first_departure

    listener = listener or Listener()
    config = make(VerifyConfig, {"data": "" if data is None else os.fspath(data), **settings})
    task = _find_task(os.fspath(model), config, settings, listener)
    listener.stage("starting PyTorch", 0, 1)
    both = _both_engines(task, config)
    batch_size = min(config.batch_size, task.count)
    allowed = config.tolerance or TOLERANCES[config.dtype]
    measured, named = _compare(task, both, batch_size, config, listener)
    if config.dtype == "float32" and not config.tolerance and first_departure(measured, allowed):
        exact = _both_engines(task, config, exact=True)
        measured, _ = _compare(task, exact, batch_size, config, listener)
    steps = _train(task, both, batch_size, config, listener)
    tolerance = LOSS_TOLERANCES[config.dtype]
    parts = any(not apart.relative <= tolerance for apart in differences_of(steps))
    in_step = _train(task, _both_engines(task, config), batch_size, config, listener, True) if parts else ()
    return Verification(
        model=task.spec.name,
        data=task.data,
        input_shape=task.input_shape,
        images=batch_size,
        dtype=config.dtype,
        tolerance=allowed,
        loss_tolerance=tolerance,
        measured=measured,
        steps=steps,
        named=named,
        in_step=in_step,
    )


def _train(
    task: _Task,
    both: BothEngines,
    batch_size: int,
    config: VerifyConfig,
    listener: Listener,
    in_step: bool = False,
) -> tuple[tuple[float, float], ...]:
    """Return the losses of training both, each on its own or in step; none where nothing can be learned."""
    if not both.ours.parameters():
        return ()
    settings = {"lr": config.lr} | ({"momentum": config.momentum} if config.optimizer == "sgd" else {})
    batches = itertools.islice(task.batches(batch_size), config.steps)
    name = "training both in step" if in_step else "training both"

    def tell(done: int) -> None:
        listener.stage(name, done, config.steps)

    train = both.train_in_step if in_step else both.train
    return tuple(train(batches, config.optimizer, config.seed, tell, **settings))


def _both_engines(task: _Task, config: VerifyConfig, exact: bool = False) -> BothEngines:
    from striate.architectures.both_engines import BothEngines
    from striate.engine.losses import FITTING
    from striate.training.losses import Loss

    torch_loss = Loss(task.spec.output, FITTING[task.spec.output][0])
    shape, classes = task.input_shape, task.num_classes
    return BothEngines(task.spec, shape, classes, task.weights, torch_loss, config.dtype, exact)


def _compare(
    task: _Task, both: BothEngines, batch_size: int, config: VerifyConfig, listener: Listener
) -> tuple[tuple[Any, ...], tuple[Named, ...]]:
    """Return what was measured on one batch, and the pictures named; training comes last: it changes both."""
    batch = next(task.batches(batch_size))
    listener.stage("comparing", 0, 3)
    output, ours, theirs = both.compare_predictions(batch.inputs)
    named = task.name_pictures(ours, theirs) if task.name_pictures is not None else ()
    listener.stage("comparing", 1, 3)
    evaluation = both.compare(batch, "evaluation", config.seed)
    listener.stage("comparing", 2, 3)
    training = both.compare(batch, "training", config.seed)
    listener.stage("comparing", 3, 3)
    return (*evaluation, output, *training), named


def _find_task(model: str, config: VerifyConfig, given: Mapping[str, Any], listener: Listener) -> _Task:
    from striate import backbones

    if model in backbones.names():
        _refuse_options(config, "a pretrained network")
        backbone = backbones.load(model)
        return _on_photos(backbone) if not config.data else _on_other_images(backbone, config, listener)
    if not config.data:
        raise UserError(
            f"verify {model} needs images: expected DATA, a folder, .zip, .csv or the name of a data set "
            "(digits comes with the installation)."
        )
    if Path(model).is_dir():
        return _trained(model, config, given, listener)
    return _untrained(model, config, listener)


def _untrained(model: str, config: VerifyConfig, listener: Listener) -> _Task:
    """A network of the zoo or of a YAML file, with initial weights."""
    from striate.architectures import initial_weights, load_spec
    from striate.data import prepare

    spec = load_spec(model, config.model_options)
    sets = prepare(_data_config(config), progress=listener.stage)
    _tell(sets.messages, listener)
    shape, classes = sets.preprocess.input_shape, len(sets.class_names)
    weights = initial_weights(spec, shape, classes, config.seed)
    batches = _batches_of(sets.train, sets.preprocess, classes, config.seed)
    return _Task(spec, shape, classes, weights, sets.name, len(sets.train), batches)


def _trained(model: str, config: VerifyConfig, given: Mapping[str, Any], listener: Listener) -> _Task:
    """A network from a bundle or a run."""
    from striate import bundle
    from striate.architectures import Spec
    from striate.data import prepare_for
    from striate.inference.loading import checked_description

    _refuse_options(config, "a trained model")
    fixed = [name for name in given if name in DataConfig.model_fields and name not in BUNDLE_SETTINGS]
    if fixed:
        option = fixed[0].replace("_", "-")
        raise UserError(f"--{option} comes with the trained model {model}; leave it out.")
    record, weights = bundle.read(model)
    if record.spec is None:
        raise UserError(
            f"{model} holds {record.name} of a library, which the glass box has no description of; verify "
            "takes networks of the zoo, of a net.yaml, and lite0."
        )
    found = prepare_for(
        config.data,
        record.preprocess,
        record.class_names,
        data_root=config.data_root,
        classes=config.classes,
        progress=listener.stage,
    )
    _tell(found.messages, listener)
    shape, classes = record.preprocess.input_shape, len(record.class_names)
    batches = _batches_of(found.images, record.preprocess, classes, config.seed)
    spec = checked_description(model, record, weights)
    assert isinstance(spec, Spec)  # it has one
    return _Task(spec, shape, classes, weights, found.name, len(found.images), batches)


def _on_photos(backbone: Backbone) -> _Task:
    """A pretrained network on the sample photos, all of them in every batch."""
    import numpy as np

    from striate.architectures.both_engines import Batch

    labels = np.array([backbone.class_names.index(name) for name in PHOTOS.values()])
    batch = Batch(backbone.preprocess(_read_photos()), labels)

    def name_pictures(ours: np.ndarray, theirs: np.ndarray) -> tuple[Named, ...]:
        tops = zip(PHOTOS, backbone.top(ours, TOP), backbone.top(theirs, TOP), strict=False)
        return tuple(Named(photo, tuple(mine), tuple(other)) for photo, mine, other in tops)

    return _Task(
        spec=backbone.spec,
        input_shape=backbone.input_shape,
        num_classes=len(backbone.class_names),
        weights=backbone.weights,
        data=PHOTO_SET,
        count=len(labels),
        batches=lambda batch_size: itertools.repeat(Batch(*(part[:batch_size] for part in batch))),
        name_pictures=name_pictures if len(labels) else None,
    )


def _on_other_images(backbone: Backbone, config: VerifyConfig, listener: Listener) -> _Task:
    """A pretrained network on images of one's own; their classes stand for its first ones."""
    from striate.data import prepare

    height, _ = backbone.preprocess.size
    settings = {"image_size": height, "channels": "rgb", "normalize": "half", "fit": "crop"}
    sets = prepare(_data_config(config).model_copy(update=settings), progress=listener.stage)
    _tell(sets.messages, listener)
    classes = len(backbone.class_names)
    batches = _batches_of(sets.train, sets.preprocess, classes, config.seed)
    spec, shape = backbone.spec, backbone.input_shape
    return _Task(spec, shape, classes, backbone.weights, sets.name, len(sets.train), batches)


def _read_photos() -> list[np.ndarray]:
    """Return uint8 (H, W, 3) each.

    Raises:
        UserError: scikit-image is not installed.
    """
    try:
        import skimage.data
    except ImportError as error:
        raise UserError(
            "the sample photos are part of scikit-image, which is not installed. "
            "Install it (pip install scikit-image), or give DATA."
        ) from error
    return [getattr(skimage.data, name)() for name in PHOTOS]


def _batches_of(
    images: ImageSet, preprocess: Preprocess, classes: int, seed: int
) -> Callable[[int], Iterator[Batch]]:
    """Return what makes endless batches of a size: epoch after epoch, each in an order of its own."""

    def batches(batch_size: int) -> Iterator[Batch]:
        from striate.architectures.both_engines import Batch
        from striate.data.array_batches import ArrayBatches

        source = ArrayBatches(images, preprocess, batch_size, shuffle=True, seed=seed, num_classes=classes)
        for epoch in itertools.count():
            for batch in source.epoch(epoch):
                yield Batch(batch.inputs, batch.labels)

    return batches


def _data_config(config: VerifyConfig) -> DataConfig:
    return DataConfig(**{name: getattr(config, name) for name in DataConfig.model_fields})


def _refuse_options(config: VerifyConfig, what: str) -> None:
    if config.model_options:
        raise UserError(f"{what} has no options, got {', '.join(config.model_options)}; leave them out.")


def _tell(messages: tuple[str, ...], listener: Listener) -> None:
    for message in messages:
        listener.message(message)

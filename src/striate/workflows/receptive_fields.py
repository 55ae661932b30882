"""What one value of each layer sees of the image: as a table, and drawn on a photo."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.errors import UserError
from striate.workflows.summary import DEFAULT_INPUT, of_bundle, parse_input_shape

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from striate.architectures import Spec
    from striate.backbones import BackboneSpec
    from striate.backbones.preprocessing import Preprocessing
    from striate.explain import ReceptiveFields
    from striate.schemas import Preprocess

    PathLike = str | os.PathLike[str]
    Shape = tuple[int, int, int]

NO_VALUES = "random weights"


@dataclass(frozen=True)
class FieldsOnPhoto:
    """Receptive fields and their drawing.

    Attributes:
        fields: of every layer.
        layer: whose effective field is drawn.
        figure: on the photo, the effective field of one layer beside it.
        effective_size: (height, width) in pixels of that field, four standard deviations.
        remarks: what the sizes mean for the photo and the object.
    """

    fields: ReceptiveFields
    layer: str
    figure: Figure
    effective_size: tuple[float, float]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Network:
    """A network as it was named.

    Attributes:
        description: its layers, or the library that has them.
        input_shape: of the images.
        num_classes: that it tells apart.
        folder: of its bundle; None for a name.
        embedded: name of the pretrained network that Striate brings along; "" for others.
        preprocessing: of pretrained weights, as far as known.
    """

    description: Spec | BackboneSpec
    input_shape: Shape
    num_classes: int
    folder: Path | None = None
    embedded: str = ""
    preprocessing: Preprocessing | None = None


def receptive_fields(
    model: PathLike,
    *,
    input: str | Sequence[int] | None = None,
    num_classes: int = 10,
    model_options: Mapping[str, Any] | None = None,
) -> ReceptiveFields:
    """Return what one value of each layer sees of the image; `print` shows it as a table.

    Args:
        model: folder of a bundle or run, a name of the zoo, path of a net.yaml, `lite0`, or the name of a
            network of torchvision or timm.
        input: (C, H, W), or the same as text, "3,224,224"; by default what a pretrained network
            was trained on, for others 3,32,32.
        num_classes: of a network without a bundle.
        model_options: options of a net of the zoo.

    Raises:
        UserError: no such network, or one that cannot work on such images.
    """
    return _fields(_find(model, input, num_classes, model_options))


def draw_receptive_fields(
    model: PathLike,
    photo: PathLike,
    *,
    layers: Sequence[str] = (),
    object_size: str | Sequence[int] | None = None,
    input: str | Sequence[int] | None = None,
    num_classes: int = 10,
    model_options: Mapping[str, Any] | None = None,
) -> FieldsOnPhoto:
    """Draw what layers see of a photo: by arithmetic, and for the last of them by gradients.

    Args:
        model: as in `receptive_fields`; a name without a bundle gets random weights, and the figure says so.
        photo: path of an image, shown as the network gets it.
        layers: names; by default some that widen the field, and by gradients the deepest with maps.
        object_size: (height, width) in pixels of the network's input, or text, of what is to be recognised.
        input: as in `receptive_fields`.
        num_classes: likewise.
        model_options: likewise.

    Raises:
        UserError: the network, a layer or the photo cannot be used.
    """
    from striate.explain.fields.effective import effective_field
    from striate.explain.fields.figures import fields_on_photo

    network = _find(model, input, num_classes, model_options)
    fields = _fields(network)
    chosen = layers[-1] if layers else _deepest(fields)
    module, preprocess, weights = _with_values(network)
    pixels = _read(photo, preprocess)
    effective = effective_field(module, fields, chosen, preprocess.normalize(pixels[None]))
    shown = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    figure = fields_on_photo(fields, shown, layers=layers, effective=effective, note=weights)
    return FieldsOnPhoto(fields, chosen, figure, effective.size, tuple(fields.remarks(object_size)))


def _find(
    model: PathLike,
    input: str | Sequence[int] | None,
    num_classes: int,
    model_options: Mapping[str, Any] | None,
) -> _Network:
    from striate.backbones.models import find

    given = None if input is None else parse_input_shape(input)
    if Path(model).is_dir():
        description, shape, count = of_bundle(Path(model), given)
        return _Network(description, shape, count, Path(model))
    name = os.fspath(model)
    found = find(name, dict(model_options or {}), size=None if given is None else given[1:])
    own = DEFAULT_INPUT if found.preprocessing is None else (3, *found.preprocessing.size)
    return _Network(found.description, given or own, num_classes, None, found.embedded, found.preprocessing)


def _fields(network: _Network) -> ReceptiveFields:
    from striate.architectures import Spec
    from striate.explain.fields.of_spec import fields_of_spec

    description, shape = network.description, network.input_shape
    if isinstance(description, Spec):
        return fields_of_spec(description, shape, network.num_classes)
    from striate.backbones.building import on_meta
    from striate.explain.fields.tracing import fields_of_module

    module = on_meta(description, shape, network.num_classes)
    return fields_of_module(module, shape, name=description.name)


def _with_values(network: _Network) -> tuple[Any, Preprocess, str]:
    """Return a torch module, its preprocessing, and a note on its weights ("" where they were learned)."""
    from striate.backbones.models import Model
    from striate.inference import load
    from striate.schemas import Preprocess

    if network.folder is not None:
        classifier = load(network.folder)
        module: Any = classifier.runtime
        return module.network, classifier.preprocess, ""
    weights = "pretrained" if network.embedded else "random"
    named = Model(network.description, network.preprocessing, network.embedded)
    started = named.start(network.input_shape, network.num_classes, weights=weights)
    channels, height, width = network.input_shape
    if network.preprocessing is not None and channels == 3:
        preprocess = network.preprocessing.as_input((height, width))
    else:
        half = (0.5,) * channels
        preprocess = Preprocess(
            channels=1 if channels == 1 else 3, height=height, width=width, fit="crop", mean=half, std=half
        )
    return started.network, preprocess, "" if network.embedded else NO_VALUES


def _read(photo: PathLike, preprocess: Preprocess) -> np.ndarray:
    """Return uint8 (C, H, W), as the network gets it."""
    from striate.data import decode_images

    decoded = decode_images([Path(photo)], preprocess)
    if decoded.reasons:
        raise UserError(f"image {photo} cannot be used: {decoded.reasons[0]}.")
    pixels: np.ndarray = decoded.images[0]
    return pixels


def _deepest(fields: ReceptiveFields) -> str:
    maps = [one for one in fields.layers if one.size is not None and len(one.output_shape) == 3]
    if not maps:
        raise UserError(f"{fields.name} has no maps: every layer sees the whole image.")
    return maps[-1].name

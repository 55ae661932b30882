"""What the layers of a network put out for images: channels, dead channels, the images that excite one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import UserError
from striate.explain.naming import LayerCall, check_channel, find_call
from striate.inference import Classifier

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from striate.data import ImageSet
    from striate.explain.subject import Subject

BATCH = 32

_Watched = tuple[Mapping[LayerCall, Any], Mapping[str, int]]
"""What calls of layers put out, and how often each layer was called for an image."""


@dataclass(frozen=True)
class Activations:
    """What one layer puts out for some images. In a notebook it shows itself.

    Attributes:
        layer: its name.
        values: float32 (N, C, h, w); of a layer without places h = w = 1.
        images: (N,), what they are called.
        calls: how often the layer computes for an image; shown is the last call, if `layer` names no other.
    """

    layer: str
    values: np.ndarray
    images: tuple[str, ...]
    calls: int = 1

    @property
    def dead(self) -> np.ndarray:
        """int64: the channels that have one and the same value for all images, everywhere."""
        flat = self.values.transpose(1, 0, 2, 3).reshape(self.values.shape[1], -1)
        return np.flatnonzero(np.ptp(flat, axis=1) == 0)

    @property
    def means(self) -> np.ndarray:
        """float32 (N, C): the mean of each channel."""
        means: np.ndarray = self.values.mean(axis=(2, 3))
        return means

    def table(self) -> pd.DataFrame:
        """Return every number in a row of its own: `image`, `channel`, `row`, `column`, `value`."""
        import pandas as pd

        image, channel, row, column = np.indices(self.values.shape).reshape(4, -1)
        names = np.array(self.images, dtype=object)[image]
        return pd.DataFrame(
            {"image": names, "channel": channel, "row": row, "column": column, "value": self.values.ravel()}
        )

    def telling_apart(self, count: int = 8) -> np.ndarray:
        """Return the channels whose means differ most between the first two images, the strongest first.

        A difference counts relative to how large a channel's values are.

        Raises:
            UserError: there are not two images.
        """
        if len(self.values) < 2:
            raise UserError("two images are needed to tell them apart; there is one.")
        first, second = self.means[:2]
        size = np.abs(self.values).max(axis=(0, 2, 3))
        differences = np.abs(first - second) / np.where(size > 0, size, 1)
        return np.argsort(-differences, kind="stable")[:count]

    def channel(self, number: int) -> np.ndarray:
        """Return one channel, float32 (N, h, w).

        Raises:
            UserError: there is no such channel.
        """
        check_channel(number, self.values.shape[1], self.layer)
        one: np.ndarray = self.values[:, number]
        return one

    def figure(self, channels: Sequence[int] | None = None) -> Figure:
        """Return channels as a grid, a block for each image; by default the first 64."""
        from striate.explain.activation_figures import activation_grid

        return activation_grid(self, channels)

    def _repr_png_(self) -> bytes:
        from striate.figure_style import png

        return png(self.figure(), dpi=110)


def activations(
    classifier: Classifier | Subject,
    pixels: np.ndarray,
    layers: str | int | Sequence[str | int],
    images: Sequence[str] = (),
) -> dict[str, Activations]:
    """Return what layers put out, by torch or by the glass box: whatever computes the classifier.

    Args:
        classifier: a loaded model, or a subject; its network is as before afterwards, also after an error.
        pixels: uint8 (N, C, H, W), as `striate.data.read_images` gives them.
        layers: names, or numbers in `layer_names`, from the end if negative. Of a layer with several calls
            the last is shown, or the one that `relu #1`, `relu #2` names.
        images: (N,), what they are called.

    Returns:
        By the names of the layers, as they were meant: `relu`, or `relu #2`. Tokens of a square grid are
        maps, (N, C, h, w), without a class token before them.

    Raises:
        UserError: there is no such layer or call, or it puts out something else than values.
    """
    given = [layers] if isinstance(layers, str | int) else list(layers)
    chosen = [find_call(layer, layer_names(classifier)) for layer in given]
    watch = _watch_engine if hasattr(_network(classifier), "walk") else _watch_torch
    outputs, calls = watch(classifier, classifier.preprocess.normalize(pixels), chosen)
    names = tuple(images) or tuple(f"image {number}" for number in range(len(pixels)))
    found = {}
    for call in chosen:
        call.check(calls.get(call.name, 1))
        values = _as_maps(outputs.get(call), str(call), len(pixels))
        found[str(call)] = Activations(str(call), values, names, calls.get(call.name, 1))
    return found


def layer_names(classifier: Classifier | Subject) -> list[str]:
    """Return the names of all layers of the network, blocks before the layers inside."""
    network = _network(classifier)
    if hasattr(network, "walk"):
        return [path for path, _ in network.walk() if path]
    if hasattr(network, "named_modules"):
        return [name for name, _ in network.named_modules() if name]
    name = classifier.runtime.name if isinstance(classifier, Classifier) else classifier.name
    raise UserError(f"{name} shows nothing of its layers; load the model with torch.")


def most_responsive(
    classifier: Classifier, images: ImageSet, layer: str | int, channel: int, count: int = 9
) -> list[tuple[str, float, tuple[int, int]]]:
    """Return the images of a data set that excite a channel most: path, largest value, its row and column.

    Args:
        classifier: a loaded model.
        images: prepared with its `preprocess`; taken a batch at a time.
        layer: name or number of the layer.
        channel: its number.
        count: so many images, the most exciting first.
    """
    found: list[tuple[str, float, tuple[int, int]]] = []
    for start in range(0, len(images), BATCH):
        rows = np.arange(start, min(start + BATCH, len(images)))
        (seen,) = activations(classifier, images.pixels.take(rows), layer).values()
        for row, values in zip(rows, seen.channel(channel), strict=True):
            place = np.unravel_index(int(values.argmax()), values.shape)
            found.append((images.paths[row], float(values.max()), (int(place[0]), int(place[1]))))
        found = sorted(found, key=lambda one: -one[1])[:count]
    return found


def _network(classifier: Classifier | Subject) -> Any:
    return getattr(classifier.runtime if isinstance(classifier, Classifier) else classifier, "network", None)


def _forward(classifier: Classifier | Subject, inputs: np.ndarray) -> None:
    if isinstance(classifier, Classifier):
        classifier.runtime.forward(inputs)
        return
    import torch

    with torch.inference_mode():
        classifier.network(torch.from_numpy(inputs).to(classifier.device))


def _watch_engine(
    classifier: Classifier | Subject, inputs: np.ndarray, layers: Sequence[LayerCall]
) -> _Watched:
    from striate.engine.backend import to_numpy
    from striate.engine.network import watching

    network = _network(classifier)
    modes = [(layer, layer.training) for _, layer in network.walk()]
    try:
        with watching(network.eval()) as seen:
            _forward(classifier, inputs)
        outputs = {one: to_numpy(seen.outputs[one.name]) for one in layers if one.name in seen.outputs}
        return outputs, dict.fromkeys((one.name for one in layers), 1)  # a description calls each layer once
    finally:
        for layer, training in modes:
            layer.training = training


def _watch_torch(
    classifier: Classifier | Subject, inputs: np.ndarray, layers: Sequence[LayerCall]
) -> _Watched:
    from torch import Tensor

    from striate.explain.arrangement import Grids
    from striate.explain.subject import held, hooked

    network = _network(classifier)
    grids = Grids.of(network, inputs.shape[1:])
    outputs: dict[LayerCall, Any] = {}
    calls: dict[str, int] = {}

    def noting(name: str) -> Any:
        def note(module: Any, given: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            for one in layers:
                if one.name == name and one.number in (None, calls[name]) and isinstance(output, Tensor):
                    order = grids.arrangement(output.shape[1:])
                    values = output if order is None else order.to_maps(output)
                    outputs[one] = values.float().cpu().clone().numpy()

        return note

    with held(network), ExitStack() as hooks:
        for name in dict.fromkeys(one.name for one in layers):
            hooks.enter_context(hooked(network.get_submodule(name), noting(name)))
        _forward(classifier, inputs)
    return outputs, calls


def _as_maps(values: np.ndarray | None, name: str, count: int) -> np.ndarray:
    """Return (N, C, h, w) of `count` images."""
    if values is None or values.ndim not in (2, 4) or len(values) != count:
        came = "nothing" if values is None else f"values of shape {values.shape[1:]} for an image"
        if values is not None and len(values) != count:
            came = f"values for {len(values)} windows, not for {count} images"
        raise UserError(f"layer {name!r} puts out {came}; expected channels, or channels of maps.")
    return values if values.ndim == 4 else values[:, :, None, None]

"""A network described by what it is made of, in Python or YAML, with nothing computed yet.

A `net.yaml` of one's own::

    name: teaching-net
    output: logits            # or log_probabilities, logit, probability
    layers:
      - conv2d: {out_channels: 16, kernel_size: 3, padding: 1}
      - relu
      - residual:
          layers:
            - conv2d: {out_channels: 32, kernel_size: 3, stride: 2, padding: 1}
            - relu
          shortcut:
            - conv2d: {name: match, out_channels: 32, kernel_size: 1, stride: 2}
      - adaptive_avg_pool2d   # to one number per channel
      - flatten
      - linear: {out_features: num_classes}

Layers and arguments have torch's names and defaults; input channels and features follow from the data.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from striate.architectures import yaml_text
from striate.architectures.blocks import Block, Layers
from striate.architectures.form import automatic_names, dump_layers, parse_layers
from striate.architectures.layers import Layer, LogSoftmax, Sigmoid, Softmax
from striate.errors import SpecError, unknown_name
from striate.schemas import OUTPUTS, Output

MAX_LAYERS = 2_000
_QUOTED = 40
"""Letters of a wrong word at most that a message quotes."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
RESERVED = re.compile(r"shortcut|branch[0-9]+")
"""Names of the parts of blocks, which layers may not have."""


@dataclass(frozen=True)
class Spec:
    """The description of a network.

    Every layer gets a name on the way in: its own, or `conv1`, `conv2`, `linear1`, ... among its neighbours.
    Weights are called after them, `residual1.conv1.weight`.

    Attributes:
        name: of the network.
        layers: one after the other; blocks hold further layers.
        output: what the last layer puts out, one of `striate.schemas.OUTPUTS`.
    """

    name: str
    layers: Layers
    output: Output = "logits"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 100 or not self.name.isprintable():
            raise SpecError(f"the name of a network is {reprlib.repr(self.name)}; expected a short text.")
        if self.output not in OUTPUTS:
            raise SpecError(f"net {self.name!r}: {unknown_name('output', _brief(self.output), OUTPUTS)}")
        if not self.layers:
            raise SpecError(f"net {self.name!r} has no layers.")
        if _count(self.layers) > MAX_LAYERS:
            raise SpecError(f"net {self.name!r} has more than {MAX_LAYERS} layers.")
        object.__setattr__(self, "layers", _name_layers(tuple(self.layers), ""))
        _check_end(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain values (texts, numbers, lists, mappings) for JSON or YAML."""
        return {"name": self.name, "output": self.output, "layers": dump_layers(self.layers)}

    @classmethod
    def from_dict(cls, content: Any, *, name: str = "net") -> Self:
        """Return the spec that plain values describe.

        Args:
            content: what `to_dict` returns; not trusted.
            name: of the network, if the content gives none.

        Raises:
            SpecError: it describes no network; says where and why.
        """
        known = ("name", "output", "layers")
        if not isinstance(content, Mapping) or "layers" not in content:
            raise SpecError("a network's description needs a list of 'layers'.")
        for key in content:
            if key not in known:
                raise SpecError(unknown_name("entry of a network's description", _brief(key), known))
        layers = parse_layers(content["layers"], "layers")
        return cls(content.get("name", name), layers, content.get("output", "logits"))

    def to_yaml(self) -> str:
        """Return the spec as YAML, one layer a line."""
        return yaml_text.dump(self.to_dict())

    @classmethod
    def from_yaml(cls, text: str, *, name: str = "net") -> Self:
        """Return the spec that YAML `text` describes; a `SpecError` says what is wrong with it."""
        return cls.from_dict(yaml_text.load(text), name=name)


def _brief(value: Any) -> Any:
    """Return what a message may quote of `value`, which may be anything of any length."""
    return value[:_QUOTED] if isinstance(value, str) else reprlib.repr(value)


def _count(layers: Layers) -> int:
    parts = (part for layer in layers if isinstance(layer, Block) for part in layer.parts().values())
    return len(layers) + sum(_count(part) for part in parts)


def _name_layers(layers: Layers, prefix: str) -> Layers:
    """Return `layers` with a name each, unique among neighbours."""
    named: list[Layer] = []
    taken: set[str] = set()
    for layer, automatic in zip(layers, automatic_names(layers), strict=True):
        name = automatic if layer.name is None else layer.name
        if not isinstance(name, str) or not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            raise SpecError(
                f"{layer.kind}: name is {reprlib.repr(name)}; expected letters, digits and _, "
                "beginning with a letter, and not 'shortcut' or 'branch1'."
            )
        if name in taken:
            raise SpecError(f"two layers are called {prefix}{name}; give one of them another name.")
        taken.add(name)
        named.append(dataclasses.replace(_name_parts(layer, f"{prefix}{name}."), name=name))
    return tuple(named)


def _name_parts(layer: Layer, prefix: str) -> Layer:
    if not isinstance(layer, Block):
        return layer
    return layer.map_parts(lambda part: _name_layers(part, prefix))


def _check_end(spec: Spec) -> None:
    """Refuse a last layer that does not put out what the spec says."""
    last = spec.layers[-1]
    while isinstance(last, Block) and list(last.parts()) == [""]:
        last = last.parts()[""][-1]
    needed = {"log_probabilities": LogSoftmax, "probability": Sigmoid}.get(spec.output)
    if needed and not isinstance(last, needed):
        raise SpecError(
            f"net {spec.name!r}: output is {spec.output}, "
            f"so the last layer must be {needed.kind}, not {last.kind}."
        )
    if not needed and isinstance(last, Softmax | LogSoftmax):
        hint = "say output: log_probabilities" if isinstance(last, LogSoftmax) else "leave it out"
        raise SpecError(
            f"net {spec.name!r}: output is {spec.output}, but the last layer is {last.kind}; {hint}."
        )
    if spec.output == "logit" and isinstance(last, Sigmoid):
        raise SpecError(
            f"net {spec.name!r}: output is logit, but the last layer is sigmoid; say output: probability."
        )

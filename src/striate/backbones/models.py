"""From what a user names to a network that can be trained: ours or a library's, with or without weights.

`find` takes a name of the zoo, a net.yaml, `lite0`, a classifier of torchvision, or a network of timm, in
this order; `torchvision/NAME` and `timm/NAME` say which library is meant.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate import architectures
from striate.architectures import Spec, Summary, check_weights, initial_weights, weight_shapes
from striate.backbones import registry, weight_files
from striate.backbones.description import LIBRARIES, BackboneSpec, Head
from striate.backbones.layout import Layout, layout_of, layout_of_spec
from striate.backbones.libraries import open_library
from striate.backbones.preprocessing import Preprocessing
from striate.backbones.spec_heads import head_layers, with_head
from striate.errors import SpecError, UserError

Description = Spec | BackboneSpec
RANDOM, PRETRAINED = "random", "pretrained"
_YAML = (".yaml", ".yml")


class Started(NamedTuple):
    """A network with its first weights.

    Attributes:
        network: a torch module, or a network of the engine.
        source: where its weights come from, for people; empty for random ones.
    """

    network: Any
    source: str


@dataclass(frozen=True)
class Model:
    """A network as a user names it.

    Attributes:
        description: its layers, or the library that has them; with the new head.
        preprocessing: how pictures become the input of its pretrained weights; None for the zoo and net.yaml.
        embedded: name of the embedded network; empty for all others.
    """

    description: Description
    preprocessing: Preprocessing | None = None
    embedded: str = ""

    @property
    def name(self) -> str:
        """Of the network, for people and folders."""
        return self.description.name

    @property
    def has_pretrained(self) -> bool:
        """Whether weights for it are known: it is embedded, or a library's."""
        return self.preprocessing is not None

    def for_bundle(self) -> dict[str, Any]:
        """Return its description under the name of the field of `striate.bundle.write` that holds it."""
        field = "spec" if isinstance(self.description, Spec) else "backbone"
        return {field: self.description.to_dict()}

    def summarize(self, input_shape: tuple[int, ...], num_classes: int) -> Summary:
        """Return its layers with shapes, parameters and multiply-adds."""
        return summarize(self.description, input_shape, num_classes)

    def layout(self, input_shape: tuple[int, ...], num_classes: int) -> Layout:
        """Return its parameters in order; no values are drawn."""
        if isinstance(self.description, Spec):
            return layout_of_spec(self.description, input_shape, num_classes)
        from striate.backbones import building

        return layout_of(building.on_meta(self.description, input_shape, num_classes))

    def start(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        weights: str = RANDOM,
        seed: int = 0,
        engine: str = "torch",
    ) -> Started:
        """Build the network.

        Args:
            input_shape: (C, H, W) of the images.
            num_classes: at least 2.
            weights: `random`, `pretrained` or the path of a file; the new head is random in any case.
            seed: of all random weights.
            engine: `torch`; a network with a spec also `numpy` and `cupy`.

        Raises:
            SpecError: the network does not fit the images or the engine.
            UserError: the weights are not to be had, or do not fit.
        """
        if isinstance(self.description, Spec):
            arrays, source = self.first_weights(input_shape, num_classes, weights=weights, seed=seed)
            network = architectures.assemble(self.description, input_shape, num_classes, arrays, engine)
            return Started(network, source)
        if engine != "torch":
            raise SpecError(
                f"{self.name} comes from {self.description.library} and needs PyTorch, not --engine {engine}."
            )
        return _start_backbone(self.description, input_shape, num_classes, weights, seed)

    def first_weights(
        self, input_shape: tuple[int, ...], num_classes: int, *, weights: str = RANDOM, seed: int = 0
    ) -> tuple[dict[str, np.ndarray], str]:
        """Return weights and buffers by name, and where they come from; for a network with a spec.

        The network is not built. Arguments and errors are those of `start`.
        """
        assert isinstance(self.description, Spec)
        return _weights_of_spec(self, self.description, input_shape, num_classes, weights, seed)


def find(
    name: str,
    options: Mapping[str, object] | None = None,
    *,
    head: Head | None = None,
    size: tuple[int, int] | None = None,
) -> Model:
    """Return the network called `name`.

    Args:
        name: see the head of this file.
        options: of a net of the zoo.
        head: its new last layers.
        size: (height, width) of the images; None: its own. Some networks are built for one size.

    Raises:
        SpecError: no such network, option or head.
    """
    head = head or Head()
    if name in architectures.names() or (_is_yaml(name) and name not in registry.names()):
        return Model(with_head(architectures.load_spec(name, options or {}), head))
    if options:
        raise SpecError(f"{name} takes no options, got {', '.join(options)}.")
    if name in registry.names():
        entry = registry.find(name)
        spec = with_head(entry.spec(size or entry.preprocess.size), head)
        return Model(spec, entry.preprocess, entry.name)
    return _find_in_libraries(name, head, size)


def description_of(spec: Mapping[str, Any] | None, backbone: Mapping[str, Any] | None) -> Description:
    """Return the description that a bundle holds in one of the two fields.

    Raises:
        SpecError: it does not fit its format.
    """
    return BackboneSpec.from_dict(backbone) if backbone is not None else Spec.from_dict(spec or {})


def assemble(
    description: Description,
    input_shape: tuple[int, ...],
    num_classes: int,
    weights: Mapping[str, np.ndarray],
    engine: str = "torch",
) -> Any:
    """Return the network of a description with given `weights`, all of them, on an engine.

    Raises:
        SpecError: they do not fit one another, or the engine.
    """
    if isinstance(description, Spec):
        return architectures.assemble(description, input_shape, num_classes, weights, engine)
    if engine != "torch":
        raise SpecError(
            f"{description.name} comes from {description.library} and needs PyTorch, not --engine {engine}."
        )
    from striate.backbones import building

    return building.assemble(description, input_shape, num_classes, weights)


def summarize(description: Description, input_shape: tuple[int, ...], num_classes: int) -> Summary:
    """Return the layers of a description with shapes, parameters and multiply-adds."""
    if isinstance(description, Spec):
        return architectures.summarize(description, input_shape, num_classes)
    from striate.backbones import building

    return building.summarize(description, input_shape, num_classes)


def is_file(name: str) -> bool:
    """Whether `name`, given for a network or for weights, is a file and no name that means something else."""
    known = (*architectures.names(), *registry.names(), RANDOM, PRETRAINED, "auto")
    return name not in known and os.path.isfile(name)


def _is_yaml(name: str) -> bool:
    return Path(name).suffix.lower() in _YAML or os.path.isfile(name)


def _find_in_libraries(name: str, head: Head, size: tuple[int, int] | None) -> Model:
    """Return the network of a library; torch is loaded to find it."""
    prefix, _, rest = name.partition("/")
    libraries, plain = ((prefix,), rest) if prefix in LIBRARIES and rest else (LIBRARIES, name)
    for library_name in libraries:
        library = open_library(library_name)
        if library.has(plain):
            spec = BackboneSpec(
                library=library_name,
                name=plain,
                version=library.VERSION,
                arguments=library.arguments(plain, size),
                head=head,
            )
            return Model(spec, library.preprocessing(plain))
    raise SpecError(_unknown(name))


def _unknown(name: str) -> str:
    """Return the text for a name that nobody knows, with the nearest of all."""
    known = [*architectures.names(), *registry.names()]
    theirs = [other for library in LIBRARIES for other in open_library(library).names()]
    close = difflib.get_close_matches(name.lower(), list(dict.fromkeys([*known, *theirs])), n=3, cutoff=0.5)
    question = f": did you mean {close[0]!r}?" if close else "."
    others = f" Also near: {', '.join(close[1:])}." if close[1:] else ""
    return (
        f"unknown model {name!r}{question}{others} Known: {', '.join(sorted(known))}, the classifiers of "
        "torchvision and the networks of timm. Or give the path of a .yaml file."
    )


def _weights_of_spec(
    model: Model, spec: Spec, input_shape: tuple[int, ...], num_classes: int, weights: str, seed: int
) -> tuple[dict[str, np.ndarray], str]:
    arrays = initial_weights(spec, input_shape, num_classes, seed)
    source = ""
    if weights == PRETRAINED:
        if not model.embedded:
            raise UserError(f"{model.name} has no pretrained weights; choose --weights random or a file.")
        known = registry.find(model.embedded)
        head = head_layers(spec)
        arrays |= {name: a for name, a in known.read().weights.items() if _owner(name) not in head}
        source = known.source
        check_weights(arrays, weight_shapes(spec, input_shape, num_classes))
    elif weights != RANDOM:
        found = weight_files.read(Path(weights))
        shapes = {name: array.shape for name, array in arrays.items()}
        head = head_layers(spec)
        fitting = weight_files.fit(found, shapes, lambda name: _owner(name) in head, model.name)
        for name, tensor in fitting.items():
            arrays[name] = tensor.to("cpu").numpy().astype(arrays[name].dtype)
        source = found.source
    return arrays, source


def _owner(tensor_name: str) -> str:
    return tensor_name.rpartition(".")[0]


def _start_backbone(
    spec: BackboneSpec, input_shape: tuple[int, ...], num_classes: int, weights: str, seed: int
) -> Started:
    from striate.backbones import building

    network = building.build(spec, input_shape, num_classes, seed)
    if weights == RANDOM:
        return Started(network, "")
    library = open_library(spec.library)
    if weights == PRETRAINED:
        found = library.pretrained(spec.name, spec.arguments)
    else:
        found = weight_files.read(Path(weights))
    made: Any = network
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    fitting = weight_files.fit(
        found,
        shapes,
        lambda name: name.startswith(f"{made.head_name}."),
        spec.name,
        library.IGNORED,
        library.modern,
    )
    network.load_state_dict(fitting, strict=False)  # the head stays as it was drawn
    return Started(network, found.source)

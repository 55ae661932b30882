"""Network descriptions: the spec, the zoo of named nets, shapes, counts and initial weights.

Nothing here imports torch but `build` and `copy_weights` where they are asked for a torch network, and the
submodule `to_torch`.
"""

from striate.architectures.building import ENGINES, assemble, build
from striate.architectures.copying import copy_weights, read_weights
from striate.architectures.outputs import to_logits
from striate.architectures.registry import describe, load_spec, names, option_names
from striate.architectures.shapes import Step, infer_shapes, walk
from striate.architectures.spec import Spec
from striate.architectures.summary import Summary, summarize
from striate.architectures.weights import check_weights, initial_weights, weight_shapes
from striate.architectures.whitening import first_convolution, whitening_kernels

__all__ = [
    "ENGINES",
    "Spec",
    "Step",
    "Summary",
    "assemble",
    "build",
    "check_weights",
    "copy_weights",
    "describe",
    "first_convolution",
    "infer_shapes",
    "initial_weights",
    "load_spec",
    "names",
    "option_names",
    "read_weights",
    "summarize",
    "to_logits",
    "walk",
    "weight_shapes",
    "whitening_kernels",
]

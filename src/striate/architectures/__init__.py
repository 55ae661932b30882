"""Network descriptions: the spec, the zoo of named nets, shapes, counts and initial weights.

Nothing here imports torch but `build`, when it is called, and the submodule `to_torch`.
"""

from striate.architectures.building import build
from striate.architectures.outputs import to_logits
from striate.architectures.registry import describe, load_spec, names, option_names
from striate.architectures.shapes import Step, infer_shapes, walk
from striate.architectures.spec import Spec
from striate.architectures.summary import Summary, summarize
from striate.architectures.weights import check_weights, initial_weights, weight_shapes

__all__ = [
    "Spec",
    "Step",
    "Summary",
    "build",
    "check_weights",
    "describe",
    "infer_shapes",
    "initial_weights",
    "load_spec",
    "names",
    "option_names",
    "summarize",
    "to_logits",
    "walk",
    "weight_shapes",
]

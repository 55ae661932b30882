"""What a network computed, made visible, and how far each picture can be trusted.

What needs torch is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from striate.explain.fields import LayerField, ReceptiveFields, receptive_fields

if TYPE_CHECKING:
    from striate.explain.ascent import ASCENTS, Ascent
    from striate.explain.explaining import Request, explain_images
    from striate.explain.explanation import Explanation
    from striate.explain.layer_outputs import Activations, activations, most_responsive
    from striate.explain.maps import METHODS, Maps, class_maps
    from striate.explain.subject import Subject
    from striate.explain.visualisation import Visualised, visualise, visualise_classes

__all__ = [
    "ASCENTS",
    "METHODS",
    "Activations",
    "Ascent",
    "Explanation",
    "LayerField",
    "Maps",
    "ReceptiveFields",
    "Request",
    "Subject",
    "Visualised",
    "activations",
    "class_maps",
    "explain_images",
    "most_responsive",
    "receptive_fields",
    "visualise",
    "visualise_classes",
]

_HOMES = {
    "ASCENTS": "ascent",
    "Ascent": "ascent",
    "METHODS": "maps",
    "Visualised": "visualisation",
    "visualise": "visualisation",
    "visualise_classes": "visualisation",
    "Activations": "layer_outputs",
    "Explanation": "explanation",
    "Maps": "maps",
    "Request": "explaining",
    "Subject": "subject",
    "activations": "layer_outputs",
    "class_maps": "maps",
    "most_responsive": "layer_outputs",
    "explain_images": "explaining",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'striate.explain' has no attribute {name!r}")
    return getattr(importlib.import_module(f"striate.explain.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

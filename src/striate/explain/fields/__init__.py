"""Receptive fields: what one value of a layer sees of the image, by arithmetic and by gradients.

`effective` imports torch and `figures` imports matplotlib; import them where they are used.
"""

from striate.explain.fields.field import Field, Span
from striate.explain.fields.of_model import receptive_fields
from striate.explain.fields.result import LayerField, ReceptiveFields

__all__ = ["Field", "LayerField", "ReceptiveFields", "Span", "receptive_fields"]

"""What a network computed, made visible, and how far each picture can be trusted."""

from striate.explain.fields import LayerField, ReceptiveFields, receptive_fields

__all__ = ["LayerField", "ReceptiveFields", "receptive_fields"]

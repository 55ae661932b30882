"""Ways to compute the same convolution, side by side; each module teaches one, and for which shapes."""

from striate.engine.algorithms.choice import ALGORITHMS, Algorithm, check_algorithm, choose
from striate.engine.algorithms.geometry import Geometry, Padding, describe, sides

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Geometry",
    "Padding",
    "check_algorithm",
    "choose",
    "describe",
    "sides",
]

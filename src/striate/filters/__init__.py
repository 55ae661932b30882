"""Classic filters: named kernels, Gabor, banks of them, and applying them to images.

::

    from striate import filters

    edges = filters.apply(image, "sobel-x", border="reflect")
    blurred = filters.apply(image, filters.gaussian(9, sigma=2))

`striate.filters.figures` draws; it imports matplotlib.
"""

from striate.filters.applying import BORDERS, apply, as_picture, standardised
from striate.filters.curves import FUNCTIONS, Function, functions
from striate.filters.gabor import BankResponses, bank, gabor, magnitude, respond
from striate.filters.kernels import KERNELS, Kernel, box, gaussian, named

__all__ = [
    "BORDERS",
    "FUNCTIONS",
    "KERNELS",
    "BankResponses",
    "Function",
    "Kernel",
    "apply",
    "as_picture",
    "bank",
    "box",
    "functions",
    "gabor",
    "gaussian",
    "magnitude",
    "named",
    "respond",
    "standardised",
]

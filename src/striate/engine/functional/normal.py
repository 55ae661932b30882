"""The normal distribution function, which neither NumPy nor the array API standard has."""

from __future__ import annotations

import math

from striate.engine.backend import Array, namespace

_LOG_ERFC = (
    -0.65132685989085471,
    0.64196979235649026,
    0.0194764732041858363,
    -0.00956151478680863164,
    -0.000946595344482036866,
    0.000366839497852761452,
    0.0000425233248069077716,
    -0.0000202785781125342432,
    -1.62429000464702551e-6,
    1.3036558355805232e-6,
    1.56264417220661432e-8,
    -8.52380959149265425e-8,
    6.5290544390988515e-9,
    5.05934349555146894e-9,
    -9.91364156493033087e-10,
    -2.27365122293183586e-10,
    9.6467911020155268e-11,
    2.39403808303911474e-12,
    -6.8860275264975534e-12,
    8.94487927309072572e-13,
    3.13092139934295808e-13,
    -1.12708223613672524e-13,
    3.81090525518923206e-16,
    7.10609761360923699e-15,
    -1.5230282014571043e-15,
    -9.457494571291234e-17,
    1.21023718922427899e-16,
    -2.81666308774717697e-17,
)
"""Chebyshev coefficients of log(erfc(z) / t) + z^2 over t = 2 / (2 + z) from 0 to 1, that is, for all z >= 0.

Computed with 60 digits by interpolation at Chebyshev's nodes; the first one is halved already. They fall so
fast that the first 13 suffice for float32.
"""

_TERMS_FLOAT32 = 13


def normal_cdf(x: Array) -> Array:
    """Return P(X <= x) for a standard normal X, any shape, relative error below 1e-12 in float64.

    P(X <= x) = erfc(-x / sqrt(2)) / 2, where erfc(z) = 2 / sqrt(pi) * (integral of exp(-u^2) from z on). For
    z >= 0, erfc(z) = t * exp(p(t) - z^2) with t = 2 / (2 + z) and a smooth function p, here a Chebyshev
    series; for positive x the symmetry P(X <= x) = 1 - P(X <= -x) is used.
    """
    xp = namespace(x)
    z = xp.abs(x) / math.sqrt(2)
    t = 2 / (2 + z)
    terms = _TERMS_FLOAT32 if x.dtype == xp.float32 else len(_LOG_ERFC)
    tail = 0.5 * t * xp.exp(_chebyshev(_LOG_ERFC[:terms], 2 * t - 1) - z * z)
    return xp.where(x > 0, 1 - tail, tail)


def _chebyshev(coefficients: tuple[float, ...], x: Array) -> Array:
    """Return sum c_k T_k(x), T_k(cos a) = cos(k a), by Clenshaw's recurrence (1955)."""
    later, latest = x * 0, x * 0
    for coefficient in reversed(coefficients[1:]):
        later, latest = 2 * x * later - latest + coefficient, later
    return x * later - latest + coefficients[0]

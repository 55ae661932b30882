"""Temperature scaling: one number by which all logits are divided, so that probabilities become honest.

Source: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, On calibration of modern neural networks, ICML 2017,
section 4.2. Which class is the most probable stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from striate.errors import DataError
from striate.evaluation.labelled import chunks, labelled
from striate.schemas import Predictions

LEAST_IMAGES = 20
"""With fewer labelled images, what is fitted would more often harm than help."""
PRIOR_IMAGES = 10
"""The network's own probabilities count as much as so many images: a small set that happens to be all right,
or all wrong, gives no boundless temperature. In simulations 10 lost least, with 20 to 100 images."""
XTOL = 1e-9
"""Of 1 / temperature."""
LOWEST, HIGHEST = 0.05, 20.0
"""Where no temperature between is best, the network's outputs are no evidence at all, or went wrong."""


def fit_temperature(predictions: Predictions) -> float:
    """Return the temperature with the least log loss on labelled images that did not train the network.

    The loss is convex in 1 / temperature; the root of its derivative is found by `_root`. Beside the
    images, `PRIOR_IMAGES` more count, with labels drawn from the network's own probabilities.

    Args:
        predictions: logits as the network put them out; images without a label do not count.

    Returns:
        Within `LOWEST` and `HIGHEST`; 1, which leaves probabilities as they are, where no other is better.

    Raises:
        DataError: fewer than `LEAST_IMAGES` labelled images, or as `labelled`.
    """
    known = labelled(predictions)
    n = len(known.labels)
    if n < LEAST_IMAGES:
        raise DataError(f"{n} labelled images are too few to calibrate with; expected {LEAST_IMAGES}.")
    share = n / (n + PRIOR_IMAGES)
    target = share * _mean_of_labels(known) + (1 - share) * _mean_logit(known, 1.0)

    def slope(inverse: float) -> float:
        """Derivative of the log loss by 1 / temperature."""
        return _mean_logit(known, inverse) - target

    if slope(1.0) == 0:  # also where nothing depends on it: logits all equal, or all right and saturated
        return 1.0
    if slope(1 / HIGHEST) >= 0:
        return HIGHEST
    if slope(1 / LOWEST) <= 0:
        return LOWEST
    return 1 / _root(slope, 1 / HIGHEST, 1 / LOWEST)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function is 0, between `low` and `high`, to 1e-9.

    Regula falsi, whose end that stays counts half (M. Dowell and P. Jarratt, A modified regula falsi method
    for computing the root of an equation, BIT 1971): importing SciPy's takes longer than all of it.
    """
    below, above = function(low), function(high)
    side = 0
    while high - low > XTOL:
        middle = (low * above - high * below) / (above - below)
        value = function(middle)
        near = min(middle - low, high - middle)
        if value == 0 or near < 0.5 * XTOL:
            return middle
        if value < 0:
            low, below, above, side = middle, value, above / 2 if side < 0 else above, -1
        else:
            high, above, below, side = middle, value, below / 2 if side > 0 else below, 1
    return (low + high) / 2


def _mean_of_labels(known: Predictions) -> float:
    """Mean over the images of the logit of the true class, less that of the most probable one."""
    own = known.logits[np.arange(len(known.labels)), known.labels].astype(np.float64)
    return float(np.mean(own - known.logits.max(axis=1)))


def _mean_logit(known: Predictions, inverse: float) -> float:
    """Mean of the logits, less the largest, weighted by the probabilities at 1 / temperature = `inverse`."""
    total = 0.0
    for part in chunks(known):
        shifted = part.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        weights = np.exp(inverse * shifted)
        total += float((np.einsum("nk,nk->n", weights, shifted) / weights.sum(axis=1)).sum())
    return total / len(known.labels)

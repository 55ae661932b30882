"""Mistakes in pooling, normalisation, activations, losses and layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.engine import functional as F
from striate.engine.backend import Array
from striate.engine.exercises.exercise import Exercise, by_gradcheck, by_gradcheck_of_layer
from striate.engine.layers import Linear

EPS = 1e-5


def _draw(*shape: int) -> Array:
    return np.random.default_rng(shape).normal(size=shape)


def _pool(x: np.ndarray) -> Array:
    return np.asarray(F.max_pool2d(x, 2))


def ties_to_all(grad_output: np.ndarray, x: np.ndarray) -> Array:
    """Return the gradient for x of 2x2 max pooling: to whatever equals the maximum.

    When is that more gradient than came in?
    """
    spread = np.repeat(np.repeat(_pool(x), 2, axis=2), 2, axis=3)
    return np.repeat(np.repeat(grad_output, 2, axis=2), 2, axis=3) * (x == spread)


def _pool_to_the_edge(x: np.ndarray) -> Array:
    return np.asarray(F.avg_pool2d(x, 2, ceil_mode=True))


def divided_by_four(grad_output: np.ndarray, x: np.ndarray) -> Array:
    """Return the gradient for x of 2x2 average pooling with ceil_mode: a fourth to each pixel.

    The last window hangs over the edge of a map of odd size. How many pixels is it the mean of?
    """
    spread = np.repeat(np.repeat(grad_output, 2, axis=2), 2, axis=3) / 4
    return spread[:, :, : x.shape[2], : x.shape[3]]


def _normalize(x: np.ndarray) -> Array:
    return np.asarray(F.batch_norm(x, training=True, eps=EPS))


def statistics_held(grad_output: np.ndarray, x: np.ndarray) -> Array:
    """Return the gradient for x of batch normalisation: divided by the deviation, as the forward did.

    Move one value: does only its own output change?
    """
    return grad_output / np.sqrt(x.var(axis=0) + EPS)


def unbiased_variance(grad_output: np.ndarray, x: np.ndarray) -> Array:
    """Return the gradient for x of batch normalisation, with both statistics' terms.

    By what number does the forward divide the sum of squares?
    """
    deviation = np.sqrt(x.var(axis=0, ddof=1) + EPS)
    z = (x - x.mean(axis=0)) / deviation
    return (grad_output - grad_output.mean(axis=0) - z * (grad_output * z).mean(axis=0)) / deviation


def mask_of_the_gradient(grad_output: np.ndarray, x: np.ndarray) -> Array:
    """Return the gradient for x of a ReLU: what is positive passes.

    What has to be positive?
    """
    return grad_output * (grad_output > 0)


def softmax_uncoupled(grad_output: np.ndarray, x: np.ndarray) -> Array:
    """Return the gradient for x of softmax: y (1 - y), as for a sigmoid.

    The probabilities of a row add up to 1. What does one have to do with the others?
    """
    y = np.asarray(F.softmax(x, 1))
    return grad_output * y * (1 - y)


def _mean_cross_entropy(x: np.ndarray, target: np.ndarray) -> Array:
    return np.asarray(F.cross_entropy(x, target))


def batch_forgotten(grad_output: np.ndarray, x: np.ndarray, target: np.ndarray) -> Array:
    """Return the gradient for the logits x of mean cross-entropy: probabilities minus one-hot labels.

    With twice as many images, the loss is about the same. And this gradient?
    """
    return grad_output * (np.asarray(F.softmax(x, 1)) - np.eye(x.shape[1])[target])


def dropout_unscaled(grad_output: np.ndarray, x: np.ndarray, mask: np.ndarray) -> Array:
    """Return the gradient for x of dropout with p = 0.5: it passes where the value passed.

    By what does the forward multiply what it keeps?
    """
    return grad_output * mask


def weight_transposed(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray) -> tuple[Array, Array]:
    """Return the gradients for x and weight of a square linear layer, x W^T.

    The shapes fit. For which layers would they not?
    """
    return grad_output @ weight, x.T @ grad_output


def input_changed(x: np.ndarray) -> Array:
    """Return max(x, 0), without the memory for a second array.

    Who else may need x?
    """
    x[x < 0] = 0
    return x


class GradientReplaced(Linear):
    """A linear layer that notes down the gradients of its weight and bias.

    It trains well in a chain. What if it is used twice in a network, or a batch comes in two halves?
    """

    def backward(self, grad_output: Any) -> Any:
        """Return the gradient for x."""
        (x,) = self._take()
        grad_x, grad_weight, grad_bias = F.linear_backward(grad_output, x, self.weight.value)
        self.weight.grad = grad_weight
        if self.bias is not None:
            self.bias.grad = grad_bias
        return grad_x


_TIES = np.random.default_rng(3).integers(0, 3, (2, 2, 4, 4)).astype(float)
_ROWS = _draw(6, 4)
_MASK = np.random.default_rng(0).random(_ROWS.shape) < 0.5

LAYERS = (
    Exercise(
        "ties-to-all",
        ties_to_all,
        "With two equal maxima the gradient goes out twice. torch gives it to the first; half to each would "
        "be right as well. At such a kink any slope between the two sides' is right for one pixel; moving "
        "all equal pixels together shows the mistake.",
        "gradcheck",
        True,
        lambda: by_gradcheck(_pool, ties_to_all, {"x": _TIES}),
    ),
    Exercise(
        "divided-by-four",
        divided_by_four,
        "A window over the edge is the mean of the pixels within: of two, or of one in the corner.",
        "gradcheck",
        True,
        lambda: by_gradcheck(_pool_to_the_edge, divided_by_four, {"x": _draw(1, 2, 5, 5)}),
    ),
    Exercise(
        "statistics-held",
        statistics_held,
        "Mean and variance depend on every value of the batch; their two terms are missing.",
        "gradcheck",
        True,
        lambda: by_gradcheck(_normalize, statistics_held, {"x": _ROWS}),
    ),
    Exercise(
        "unbiased-variance",
        unbiased_variance,
        "The forward divides by n (the running variance alone by n - 1); so must the backward.",
        "gradcheck",
        True,
        lambda: by_gradcheck(_normalize, unbiased_variance, {"x": _ROWS}),
    ),
    Exercise(
        "mask-of-the-gradient",
        mask_of_the_gradient,
        "The slope is 1 where x is positive, whatever the sign of the gradient.",
        "gradcheck",
        True,
        lambda: by_gradcheck(F.relu, mask_of_the_gradient, {"x": _ROWS}),
    ),
    Exercise(
        "softmax-uncoupled",
        softmax_uncoupled,
        "Each output depends on every input of its row: y (g - sum(g y)).",
        "gradcheck",
        True,
        lambda: by_gradcheck(lambda x: F.softmax(x, 1), softmax_uncoupled, {"x": _ROWS}),
    ),
    Exercise(
        "batch-forgotten",
        batch_forgotten,
        "The mean divides by the number of images, and so does its gradient.",
        "gradcheck",
        True,
        lambda: by_gradcheck(
            _mean_cross_entropy,
            batch_forgotten,
            {"x": _ROWS, "target": np.array([0, 1, 2, 3, 0, 1])},
        ),
    ),
    Exercise(
        "dropout-unscaled",
        dropout_unscaled,
        "The forward divides by 1 - p to keep the mean; the gradient is divided too.",
        "gradcheck",
        True,
        lambda: by_gradcheck(
            lambda x, mask: F.dropout(x, 0.5, mask=mask), dropout_unscaled, {"x": _ROWS, "mask": _MASK}
        ),
    ),
    Exercise(
        "weight-transposed",
        weight_transposed,
        "The weight is (out, in), so its gradient is dY^T x; x^T dY is its transpose, and a square layer "
        "hides it.",
        "gradcheck",
        True,
        lambda: by_gradcheck(F.linear, weight_transposed, {"x": _draw(5, 3), "weight": _draw(3, 3)}),
    ),
    Exercise(
        "input-changed",
        input_changed,
        "A residual connection, or the layer before, still needs x. A layer never changes its input.",
        "gradcheck",
        True,
        lambda: by_gradcheck(input_changed, F.relu_backward, {"x": _draw(4, 4)}),
    ),
    Exercise(
        "gradient-replaced",
        GradientReplaced,
        "Gradients add up until they are zeroed: accumulate, do not assign.",
        "gradcheck",
        True,
        lambda: by_gradcheck_of_layer(
            GradientReplaced(4, 3, generator=np.random.default_rng(0)), _draw(5, 4)
        ),
    ),
)
"""The exercises of this module."""

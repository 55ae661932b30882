"""Two-dimensional convolution, forward and backward."""

from __future__ import annotations

from collections.abc import Collection

from striate.engine.algorithms import Geometry, Padding, choose, describe
from striate.engine.backend import Array, Pair, check_float, check_ndim, check_shape, namespace
from striate.engine.functional.linear import check_needs

GRADIENTS = ("x", "weight", "bias")
"""What `conv2d_backward` can return, in its order."""


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
) -> Array:
    """Slide every kernel over every image and take the sum of products at each place.

    With stride s, dilation d and x zero in its padding,

        y[n, o, p, q] = bias[o] + sum over c, i, j of  weight[o, c, i, j] * x[n, c, u, v]
        u = p * s + i * d - top,  v = q * s + j * d - left

    The kernel is not flipped, as in every network library: this is cross-correlation (Goodfellow, Bengio and
    Courville, Deep Learning, section 9.1). The output has floor((H + top + bottom - d * (kH - 1) - 1) / s)
    + 1 rows, and columns likewise (Dumoulin and Visin, A guide to convolution arithmetic for deep learning,
    2016).

    Args:
        x: images (N, C, H, W), or one image (C, H, W), float32 or float64.
        weight: kernels (O, C / groups, kH, kW), dtype of x.
        bias: (O,), dtype of x, or None.
        stride: steps down and right; one number for both.
        padding: zeros around the image: a number, (height, width), ((top, bottom), (left, right)), `"valid"`
            for none, or `"same"` for an output of the input's size (stride 1; an odd zero goes below and to
            the right).
        dilation: distance between neighbouring taps of the kernel.
        groups: output channels see only the input channels of their own group; `groups = C` is depth-wise.
        algorithm: a name from `striate.engine.algorithms.ALGORITHMS`, or `"auto"`.

    Returns:
        y (N, O, H', W'), or (O, H', W') for one image; dtype of x. It may lie channels last in memory.

    Raises:
        ValueError: the shapes do not fit, or the algorithm does not serve them.
        TypeError: not float32 or float64, or of different dtypes or array libraries.
    """
    check_float(x=x, weight=weight, bias=bias)
    namespace(x, weight, bias)
    geometry = describe(x, weight, bias, stride, padding, dilation, groups)
    chosen = choose(algorithm, geometry, x, weight, bias)
    output = chosen.forward(_as_batch(x), weight, bias, geometry)
    return output if x.ndim == 4 else output[0, ...]


def conv2d_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    needs: Collection[str] = GRADIENTS,
    *,
    algorithm: str = "auto",
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients of a loss for x, weight and bias, given its gradient dy for the output.

    Every product `weight * x` of the forward sum belongs to one output; the chain rule gives

        d bias[o]            = sum over n, p, q of  dy[n, o, p, q]
        d weight[o, c, i, j] = sum over n, p, q of  dy[n, o, p, q] * x[n, c, u, v]
        d x[n, c, u, v]      = sum over o, i, j, p, q that meet (u, v) of dy[n, o, p, q] * weight[o, c, i, j]

    The second is a correlation of x with dy. The third is, for stride 1, a correlation of dy, padded by
    dilation * (kernel - 1) less the forward's padding, with the kernels, dilated as in the forward, flipped
    in both directions and in and out exchanged: a *full* convolution.

    Args:
        grad_output: dy, of the output's shape and dtype.
        x: the forward's input.
        weight: the forward's kernels.
        stride: as in the forward.
        padding: as in the forward.
        dilation: as in the forward.
        groups: as in the forward.
        needs: which gradients to compute; a first layer needs no `"x"`.
        algorithm: as in the forward.

    Returns:
        (grad_x, grad_weight, grad_bias) in the shapes of x, weight and (O,); None for what is not needed.

    Raises:
        ValueError: the shapes do not fit, or `needs` names something else.
        TypeError: not float32 or float64, or of different dtypes or array libraries.
    """
    check_float(x=x, weight=weight, grad_output=grad_output)
    namespace(grad_output, x, weight)
    wanted = check_needs(needs, GRADIENTS)
    geometry = describe(x, weight, None, stride, padding, dilation, groups)
    check_ndim("grad_output", grad_output, (x.ndim,), "as many dimensions as x has")
    check_shape("grad_output", grad_output, geometry.out_shape[-x.ndim :])
    chosen = choose(algorithm, geometry, grad_output, x, weight)
    grad_x, grad_weight, grad_bias = chosen.backward(
        _as_batch(grad_output), _as_batch(x), weight, geometry, wanted
    )
    if grad_x is not None and x.ndim == 3:
        grad_x = grad_x[0, ...]
    return grad_x, grad_weight, grad_bias


def conv2d_geometry(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Geometry:
    """Return the checked shapes of a convolution: padding on four sides, output size, multiply-adds."""
    return describe(x, weight, bias, stride, padding, dilation, groups)


def _as_batch(images: Array) -> Array:
    """One image (C, H, W) as a batch of one; a batch as it is."""
    return images if images.ndim == 4 else images[None, ...]

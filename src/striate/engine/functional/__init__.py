"""Every operation as two pure functions: its forward, and beside it its backward.

::

    from striate.engine import functional as F

    y, saved = F.max_pool2d(x, 2, return_saved=True)
    grad_x = F.max_pool2d_backward(grad_y, x, 2, saved=saved)

Names, parameters, defaults and weight layouts are torch's. Arrays may belong to any library of the array API
standard; what comes out has the dtype of what went in, float32 or float64, and no input is ever changed.
"""

from striate.engine.functional.activations import (
    gelu,
    gelu_backward,
    leaky_relu,
    leaky_relu_backward,
    log_softmax,
    log_softmax_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from striate.engine.functional.adaptive_pooling import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
)
from striate.engine.functional.average_pooling import avg_pool2d, avg_pool2d_backward
from striate.engine.functional.convolution import conv2d, conv2d_backward, conv2d_geometry
from striate.engine.functional.dropout import draw_mask, dropout, dropout_backward
from striate.engine.functional.linear import linear, linear_backward
from striate.engine.functional.losses import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    cross_entropy,
    cross_entropy_backward,
    nll_loss,
    nll_loss_backward,
)
from striate.engine.functional.max_pooling import max_pool2d, max_pool2d_backward
from striate.engine.functional.normalization import (
    Statistics,
    batch_norm,
    batch_norm_backward,
    update_running,
)
from striate.engine.functional.penalties import l2_penalty, l2_penalty_backward, mse_loss, mse_loss_backward
from striate.engine.functional.shape import flatten, flatten_backward

__all__ = [
    "Statistics",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_geometry",
    "cross_entropy",
    "cross_entropy_backward",
    "draw_mask",
    "dropout",
    "dropout_backward",
    "flatten",
    "flatten_backward",
    "gelu",
    "gelu_backward",
    "l2_penalty",
    "l2_penalty_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mse_loss",
    "mse_loss_backward",
    "nll_loss",
    "nll_loss_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
    "update_running",
]

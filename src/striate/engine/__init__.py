"""The glass-box engine: a convolutional network in plain array code, every forward beside its backward.

::

    from striate import engine
    from striate.engine import functional as F

    y = F.conv2d(x, weight, padding=1)
    grad_x, grad_weight, grad_bias = F.conv2d_backward(grad_y, x, weight, padding=1)
    print(engine.gradcheck(engine.layers.ReLU(), x))

It never imports torch.
"""

from striate.engine import functional, layers, optim
from striate.engine.blocks import Parallel, Residual, Sequential
from striate.engine.fit import History, NotFiniteError, fit
from striate.engine.gradcheck import gradcheck
from striate.engine.losses import Loss
from striate.engine.network import Network, watching
from striate.engine.optim import SGD, Adam, AdamW
from striate.engine.parameter import Parameter
from striate.engine.samples import Samples

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "History",
    "Loss",
    "Network",
    "NotFiniteError",
    "Parallel",
    "Parameter",
    "Residual",
    "Samples",
    "Sequential",
    "fit",
    "functional",
    "gradcheck",
    "layers",
    "optim",
    "watching",
]

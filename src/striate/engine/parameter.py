"""A learned array and the gradient that gathers beside it."""

from __future__ import annotations

from striate.engine.backend import Array, check_float, check_shape


class Parameter:
    """What training changes: a value and its gradient.

    A backward pass adds to the gradient instead of replacing it, because a loss depends on a parameter
    through every place where it is used, and the chain rule sums over them; two half batches gather the same
    gradient as one whole batch with the sum of their losses. `zero_grad` starts anew.

    Attributes:
        value: of any shape, float32 or float64.
        grad: of the shape and dtype of `value`, or None where nothing has gathered yet.

    Raises:
        TypeError: no array of floating numbers.
    """

    def __init__(self, value: Array) -> None:
        check_float(value=value)
        self.value = value
        self.grad: Array | None = None

    def accumulate(self, grad: Array) -> None:
        """Add `grad`, which has the shape of the value; the parameter may keep the array as its own.

        Raises:
            ValueError: another shape.
        """
        check_shape("grad", grad, self.value.shape)
        if self.grad is None:
            self.grad = grad
        else:
            self.grad += grad

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def __repr__(self) -> str:
        return f"Parameter({tuple(self.value.shape)}, {self.value.dtype})"

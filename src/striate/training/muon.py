"""Muon: momentum whose update of each convolution is made orthogonal; SGD for all other parameters.

Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", and its form for
convolutions in airbench (Jordan 2024), where the filters also keep a fixed norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration (Jordan et al. 2024)
_ITERATIONS = 3  # enough for an update; singular values end between about 0.5 and 1.5
_SMALLEST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Updates filters, weights of four dimensions, by Muon, and whatever else there is by SGD.

    A filter bank W (out, in / groups, kH, kW) is seen as a matrix (out, in / groups * kH * kW). Its gradient
    goes through Nesterov momentum, then to the nearest orthogonal matrix, so that a step changes all
    directions alike. Before each step W is scaled to the norm sqrt(out): the learning rate is then relative.
    That asks for a normalisation behind each convolution, which makes the norm meaningless.

    The group of a parameter says which of the two it is updated by (`filters`). Both use `lr` and `momentum`.

    Args:
        groups: dicts with `params`, `lr`, `filters` (bool) and, for SGD, `weight_decay`.
        lr: default learning rate.
        momentum: of both.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.6) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "filters": False, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """Update every parameter that has a gradient; returns what `closure` returns, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if group["weight_decay"] and not group["filters"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        velocity = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        update = gradient.add(velocity, alpha=group["momentum"])  # Nesterov
        if group["filters"]:
            parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp(min=_SMALLEST_NORM))
            update = orthogonalized(update.reshape(len(update), -1)).reshape(update.shape)
        parameter.add_(update, alpha=-group["lr"])


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """Return about U V^T for `matrix` = U S V^T, by Newton and Schulz's iteration.

    With X = matrix / norm and G = X X^T, a round is X <- (a I + b G + c G^2) X = P X. All matrices P are
    polynomials of the first G, and so commute: the next G is P G P, and X is multiplied once, by the product
    of all P. Only two products are as long as `matrix`, where the plain iteration has two a round.

    Args:
        matrix: float32 (M, N).

    Returns:
        float32 (M, N), singular values near 1; those that were below about a hundredth of the norm stay
        smaller.
    """
    a, b, c = _COEFFICIENTS
    is_wide = matrix.shape[0] <= matrix.shape[1]
    wide = matrix if is_wide else matrix.T
    wide = wide / wide.norm().clamp(min=_SMALLEST_NORM)
    gram = wide @ wide.T
    rounds: list[torch.Tensor] = []
    for number in range(_ITERATIONS):
        if number:
            gram = rounds[-1] @ gram @ rounds[-1]
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        rounds.append(polynomial)
    x: torch.Tensor = torch.linalg.multi_dot([*rounds, wide])
    return x if is_wide else x.T

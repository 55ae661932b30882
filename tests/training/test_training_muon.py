"""Muon: orthogonal updates of filters by Newton and Schulz, SGD for the rest."""

from __future__ import annotations

import pytest
import torch
from training_task import make_config, make_network

from striate.training.muon import Muon, orthogonalized
from striate.training.optimizers import build_optimizer, set_lr


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_orthogonalized_keeps_the_singular_vectors_and_brings_the_values_near_one(
    shape: tuple[int, int],
) -> None:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, _, vh = torch.linalg.svd(noise, full_matrices=False)
    matrix = u @ torch.diag(torch.linspace(0.2, 1, min(shape), dtype=torch.float64)) @ vh
    values = u.T @ orthogonalized(matrix) @ vh.T
    diagonal = values.diagonal()
    assert torch.allclose(values, torch.diag(diagonal), atol=1e-9)
    assert diagonal.min() > 0.4
    assert diagonal.max() < 1.3


def test_orthogonalized_equals_the_iteration_as_it_is_published() -> None:
    matrix = torch.randn((12, 50), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = matrix / matrix.norm()
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonalized(matrix), x, atol=1e-12)
    assert torch.allclose(orthogonalized(matrix.float()), x.float(), atol=1e-5)


def test_orthogonalized_is_independent_of_scale() -> None:
    matrix = torch.randn((8, 30), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(orthogonalized(matrix), orthogonalized(1e3 * matrix), atol=1e-5)


def test_a_step_on_filters_keeps_their_norm_and_moves_by_the_orthogonal_direction() -> None:
    filters = torch.nn.Parameter(torch.randn((8, 3, 3, 3), generator=torch.Generator().manual_seed(2)))
    filters.grad = torch.randn(filters.shape, generator=torch.Generator().manual_seed(3))
    before, gradient = filters.detach().clone(), filters.grad.clone()
    Muon([{"params": [filters], "lr": 0.1, "filters": True}], 0.1, momentum=0.5).step()
    scaled = before * 8**0.5 / before.norm()
    direction = orthogonalized((1.5 * gradient).reshape(8, -1)).reshape(before.shape)
    assert torch.allclose(filters, scaled - 0.1 * direction, atol=1e-6)


def test_all_else_moves_as_torchs_sgd_moves_it() -> None:
    start = torch.randn((5, 4), generator=torch.Generator().manual_seed(4))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    group = {"params": [ours], "lr": 0.1, "filters": False, "weight_decay": 0.01}
    optimizers = (
        Muon([group], 0.1, momentum=0.6),
        torch.optim.SGD([theirs], 0.1, momentum=0.6, nesterov=True, weight_decay=0.01),
    )
    for step in range(4):
        gradient = torch.randn(start.shape, generator=torch.Generator().manual_seed(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_each_kind_of_parameter_has_its_own_rate_all_along_the_schedule() -> None:
    network = make_network()
    settings = make_config(optimizer="muon", lr=0.2, bias_lr=6.0, muon_sgd_lr=0.01, momentum=0.6)
    optimizer = build_optimizer(network, settings, 0.2)
    set_lr(optimizer, 0.1)  # half of the peak
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        expected = 3.0 if name.endswith("bias") else 0.1 if parameter.ndim == 4 else 0.005
        assert rates[id(parameter)] == pytest.approx(expected), name


def test_biases_have_their_own_rate_with_sgd_too() -> None:
    network = make_network()
    optimizer = build_optimizer(network, make_config(optimizer="sgd", lr=0.1, bias_lr=0.8), 0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for n, p in network.named_parameters() if n.endswith("bias")} == {0.8}
    assert {rates[id(p)] for n, p in network.named_parameters() if not n.endswith("bias")} == {0.1}


def test_weight_decay_spares_filters_whose_norm_is_fixed_and_acts_on_all_else() -> None:
    network = make_network()
    optimizer = build_optimizer(network, make_config(optimizer="muon", weight_decay=0.1), 0.2)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert decays[id(parameter)] == (0.0 if parameter.ndim == 4 else 0.1), name

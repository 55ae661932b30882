import array_api_strict
import numpy as np
import pytest
import torch

from striate.engine import parallel
from striate.engine.optim import SGD, Adam, AdamW
from striate.engine.parameter import Parameter

SHAPES = {"weight": (3, 4, 2), "bias": (5,)}
TOLERANCE = {"float64": 1e-13, "float32": 2e-6}  # the same few operations in another order

CASES = {
    "plain": (SGD, torch.optim.SGD, {"lr": 0.1}),
    "decay": (SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.03}),
    "momentum": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    "adam": (Adam, torch.optim.Adam, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4}),
    "adam-decay": (Adam, torch.optim.Adam, {"lr": 0.02, "weight_decay": 0.1}),
    "adamw": (AdamW, torch.optim.AdamW, {"lr": 0.02}),
    "adamw-decay": (AdamW, torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.3}),
}


def draw(shape, seed, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def fresh(dtype="float64", shapes=SHAPES):
    return {name: Parameter(draw(shape, k, dtype)) for k, (name, shape) in enumerate(shapes.items())}


def set_grads(parameters, step):
    for k, parameter in enumerate(parameters.values()):
        parameter.grad = draw(parameter.value.shape, 100 * step + k, parameter.value.dtype)


def run(optimizer, steps, first=1):
    for step in range(first, first + steps):
        set_grads(optimizer.parameters, step)
        optimizer.step()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_optimizer_takes_torchs_steps(case, dtype):
    ours, theirs, arguments = CASES[case]
    parameters = fresh(dtype)
    tensors = [torch.nn.Parameter(torch.from_numpy(p.value.copy())) for p in parameters.values()]
    optimizer, reference = ours(parameters, **arguments), theirs(tensors, **arguments)
    for step in range(1, 7):
        if step == 4:  # a schedule changes the rate in between
            optimizer.lr = reference.param_groups[0]["lr"] = arguments["lr"] / 3
        set_grads(parameters, step)
        for tensor, parameter in zip(tensors, parameters.values(), strict=True):
            tensor.grad = torch.from_numpy(parameter.grad.copy())
        optimizer.step()
        reference.step()
        for tensor, parameter in zip(tensors, parameters.values(), strict=True):
            difference = np.abs(parameter.value - tensor.detach().numpy()).max()
            assert difference < TOLERANCE[dtype], (step, difference)
            assert parameter.value.dtype == dtype


@pytest.mark.parametrize("case", CASES)
def test_step_leaves_gradients_as_they_are_and_changes_values_in_place(case):
    ours, _, arguments = CASES[case]
    parameters = fresh()
    arrays = {name: parameter.value for name, parameter in parameters.items()}
    optimizer = ours(parameters, **arguments)
    set_grads(parameters, 1)
    before = {name: parameter.grad.copy() for name, parameter in parameters.items()}
    optimizer.step()
    for name, parameter in parameters.items():
        assert np.array_equal(parameter.grad, before[name])
        assert parameter.value is arrays[name]


@pytest.mark.parametrize("case", CASES)
def test_large_arrays_in_pieces_take_the_same_step_to_the_bit(case, monkeypatch):
    ours, _, arguments = CASES[case]
    whole, cut = fresh(shapes={"w": (500, 41)}), fresh(shapes={"w": (500, 41)})
    run(ours(whole, **arguments), 3)
    monkeypatch.setattr(parallel, "PIECE_BYTES", 1000)
    run(ours(cut, **arguments), 3)
    assert np.array_equal(whole["w"].value, cut["w"].value)


@pytest.mark.parametrize("case", CASES)
def test_optimizer_runs_on_the_array_api_standard_alone(case):
    ours, _, arguments = CASES[case]
    device = array_api_strict.Device("device1")
    plain, strict = fresh(), fresh()
    optimizer = ours(plain, **arguments)
    on_device = ours(strict, **arguments)
    for parameter in strict.values():
        parameter.value = array_api_strict.asarray(parameter.value, device=device)
    for step in (1, 2):
        set_grads(plain, step)
        optimizer.step()
        for name, parameter in strict.items():
            parameter.grad = array_api_strict.asarray(plain[name].grad, device=device)
        on_device.step()
    state, expected = on_device.state_arrays(), optimizer.state_arrays()
    assert state.keys() == expected.keys()
    for key in state:
        np.testing.assert_allclose(state[key], expected[key], atol=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_classical_momentum_equals_torchs_while_the_rate_stays_and_departs_when_it_changes(nesterov):
    torch_form, classical = fresh(), fresh()
    common = {"lr": 0.1, "momentum": 0.9, "nesterov": nesterov}
    one, other = SGD(torch_form, **common), SGD(classical, form="classical", **common)
    run(one, 5)
    run(other, 5)
    np.testing.assert_allclose(torch_form["weight"].value, classical["weight"].value, atol=1e-13)
    one.lr = other.lr = 0.01
    run(one, 1, first=6)
    run(other, 1, first=6)
    assert np.abs(torch_form["weight"].value - classical["weight"].value).max() > 0.1


def test_classical_momentum_is_velocity_less_rate_times_gradient():
    parameters = {"w": Parameter(np.array([1.0]))}
    optimizer = SGD(parameters, lr=0.1, momentum=0.9, form="classical")
    path = []
    for gradient in (1.0, 2.0, -1.0):
        parameters["w"].grad = np.array([gradient])
        optimizer.step()
        path.append(parameters["w"].value.item())
    np.testing.assert_allclose(path, [0.9, 0.61, 0.449], atol=1e-15)  # v = -.1, -.29, -.161


def test_undecayed_parameters_do_not_decay():
    decayed, spared = fresh(), fresh()
    run(SGD(decayed, 0.1, weight_decay=0.5), 1)
    run(SGD(spared, 0.1, weight_decay=0.5, undecayed=["bias"]), 1)
    assert np.array_equal(decayed["weight"].value, spared["weight"].value)
    start = fresh()["bias"].value
    set_grads(spared, 1)
    assert np.array_equal(spared["bias"].value, start - 0.1 * spared["bias"].grad)


def test_parameters_without_gradient_are_passed_over():
    parameters = fresh()
    optimizer = AdamW(parameters)
    parameters["bias"].grad = np.ones(5)
    optimizer.step()
    assert np.array_equal(parameters["weight"].value, fresh()["weight"].value)
    assert optimizer.steps == {"bias": 1}
    optimizer.zero_grad()
    assert parameters["bias"].grad is None


@pytest.mark.parametrize("case", CASES)
def test_restored_state_continues_to_the_bit(case):
    ours, _, arguments = CASES[case]
    whole, halves = fresh(), fresh()
    run(ours(whole, **arguments), 6)
    first = ours(halves, **arguments)
    run(first, 3)
    second = ours(halves, **arguments)
    saved = first.state_arrays()
    second.restore_state({key: saved[key] for key in sorted(saved, reverse=True)})  # files have no order
    run(second, 3, first=4)
    for name in SHAPES:
        assert np.array_equal(whole[name].value, halves[name].value)


def test_gradients_accumulate_until_zeroed():
    parameter = Parameter(np.zeros(2))
    parameter.accumulate(np.array([1.0, 2.0]))
    parameter.accumulate(np.array([1.0, 2.0]))
    assert np.array_equal(parameter.grad, [2.0, 4.0])
    parameter.zero_grad()
    assert parameter.grad is None
    with pytest.raises(ValueError, match=r"grad: expected shape \(2,\), got \(1,\)"):
        parameter.accumulate(np.ones(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, lr=-1), "lr: expected a number of at least 0, got -1"),
        (lambda p: SGD(p, lr=float("nan")), "lr: expected a number of at least 0, got nan"),
        (lambda p: SGD(p, nesterov=True), "nesterov: expected a momentum above 0"),
        (lambda p: SGD(p, form="polyak"), "form: expected 'torch' or 'classical', got 'polyak'"),
        (lambda p: Adam(p, betas=(0.9, 1)), "betas: expected two numbers from 0 to below 1"),
        (lambda p: AdamW(p, weight_decay=-1), "weight_decay: expected a number of at least 0"),
        (lambda p: SGD(p, undecayed=["biass"]), "undecayed: expected names of parameters, got 'biass'"),
        (lambda p: Adam(p).restore_state({"w:exp_avg": np.zeros(1)}), "arrays: expected the state"),
    ],
)
def test_wrong_settings_name_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make(fresh())


def test_a_state_that_is_refused_changes_nothing():
    optimizer = Adam(fresh())
    saved = run_once(optimizer)
    for missing in saved:
        with pytest.raises(ValueError, match=f"arrays: expected {missing} as well, got none"):
            optimizer.restore_state({key: 2 * saved[key] for key in saved if key != missing})
    found = optimizer.state_arrays()
    assert all(np.array_equal(found[key], saved[key]) for key in saved)
    Adam(optimizer.parameters).restore_state(saved)


def run_once(optimizer):
    for parameter in optimizer.parameters.values():
        parameter.grad = np.ones_like(parameter.value)
    optimizer.step()
    return optimizer.state_arrays()

"""The choice of device, precision and memory format."""

from __future__ import annotations

import pytest
import torch
from training_task import make_config, make_network

from striate.architectures import build
from striate.errors import UserError
from striate.training import choose_engine, devices


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "32")])
@pytest.mark.usefixtures("on_cpu")
def test_a_large_network_takes_what_the_processor_gains_by(
    has_bf16: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: has_bf16)
    engine = choose_engine(make_config(), build("custom-cnn", (3, 32, 32), 10), (3, 32, 32))
    assert (engine.device, engine.precision, engine.memory_format) == ("cpu", precision, "channels-last")
    assert "has" in str(engine) if has_bf16 else "lacks" in str(engine)


@pytest.mark.usefixtures("on_cpu")
def test_a_small_network_stays_with_float32() -> None:
    engine = choose_engine(make_config(), make_network(), (1, 8, 8))
    assert (engine.precision, engine.memory_format) == ("32", "contiguous")


def test_settings_overrule_the_choice() -> None:
    config = make_config(device="cpu", precision="bf16", memory_format="channels-last")
    engine = choose_engine(config, make_network(), (1, 8, 8))
    assert (engine.device, engine.precision, engine.memory_format) == ("cpu", "bf16", "channels-last")


@pytest.mark.usefixtures("on_cpu")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="--device cuda is not available here; use cpu, or auto"):
        choose_engine(make_config(device="cuda"), make_network(), (1, 8, 8))


def test_multiply_adds_agree_with_the_summary() -> None:
    # gray-cnn with global average pooling: 2.79 M in its trunk and 640 in its head, by hand
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 3),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(64, 64, 3),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )
    expected = 26**2 * 9 * 32 + 11**2 * 9 * 32 * 64 + 3**2 * 9 * 64 * 64 + 640
    assert devices.multiply_adds(network, (1, 28, 28)) == expected


def test_counting_leaves_the_network_alone() -> None:
    network = make_network()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    devices.multiply_adds(network, (1, 8, 8))
    assert network.training
    assert not network[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

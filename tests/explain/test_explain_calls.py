"""A layer that computes several times for an image: each call can be opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from conftest import PREPROCESS, SHAPES, draw
from striate.errors import UserError
from striate.explain import Subject, activations, class_maps
from striate.workflows import layer_outputs
from striate.workflows.listener import Listener

TOLERANCE = 1e-4
"""Relative: float32 sums in another order."""
PIXELS, _ = draw(2, seed=5)


class Twice(nn.Module):
    """One ReLU and one convolution for two places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.again = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(6, 3)

    def steps(self, x: Tensor) -> list[Tensor]:
        one = self.relu(self.first(x))
        two = self.relu(self.again(one.clone()))
        three = self.relu(self.again(two.clone()))
        return [one, two, three]

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.steps(x)[-1].mean(dim=(2, 3)))


@pytest.fixture
def subject() -> Subject:
    return Subject("twice", Twice().eval(), "logits", SHAPES, PREPROCESS)


@pytest.mark.parametrize(("layer", "call"), [("relu", 2), ("relu #1", 0), ("relu #2", 1), ("relu #3", 2)])
def test_activations_are_those_of_the_call(subject: Subject, layer: str, call: int) -> None:
    found = activations(subject, PIXELS, layer)
    with torch.no_grad():
        expected = subject.network.steps(subject.tensor(PIXELS))[call].numpy()
    np.testing.assert_allclose(found[layer].values, expected, rtol=1e-5, atol=1e-6)
    assert found[layer].calls == 3


@pytest.mark.parametrize(("layer", "call"), [("relu", 2), ("relu #1", 0), ("relu #2", 1), ("relu #3", 2)])
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_maps_are_those_of_the_call(subject: Subject, layer: str, call: int, method: str) -> None:
    found = class_maps(subject, PIXELS, [0, 1], method, layer)
    network = subject.network
    with torch.no_grad():
        maps = network.steps(subject.tensor(PIXELS))[call]
    x = maps.clone().requires_grad_()
    rest = x
    for _ in range(2 - call):
        rest = torch.relu(network.again(rest))
    scores = network.last(rest.mean(dim=(2, 3)))
    (gradient,) = torch.autograd.grad(scores[0, 0] + scores[1, 1], x)
    weights = gradient.mean(dim=(2, 3), keepdim=True) if method == "grad-cam" else gradient.relu()
    expected = (weights * maps).sum(dim=1).numpy()
    assert found.layer == layer
    assert np.abs(found.values - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_score_cam_of_an_earlier_call_hides_by_its_maps(subject: Subject) -> None:
    first, last = (class_maps(subject, PIXELS, method="score-cam", layer=f"relu #{n}") for n in (1, 3))
    assert np.isfinite(first.values).all()
    assert not np.array_equal(first.values, last.values)
    assert all(not module._forward_hooks for module in subject.network.modules())


def test_a_call_that_does_not_come_is_refused(subject: Subject) -> None:
    with pytest.raises(UserError, match="no 'relu #4': layer 'relu' is called 3 times"):
        activations(subject, PIXELS, "relu #4")
    with pytest.raises(UserError, match="no 'first #2': layer 'first' is called once"):
        class_maps(subject, PIXELS, layer="first #2")
    with pytest.raises(UserError, match="no layer 'rellu'"):
        activations(subject, PIXELS, "rellu #2")


def test_workflow_says_that_a_layer_has_several_calls(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(PIXELS[0].transpose(1, 2, 0)).save(tmp_path / "one.png")
    monkeypatch.setattr(layer_outputs, "_open", lambda *given: subject)
    said: list[str] = []
    listener = Listener()
    monkeypatch.setattr(listener, "message", said.append)
    show = layer_outputs.show_activations
    show("twice", tmp_path / "one.png", "relu", listener=listener)
    assert "'relu #3'. Name another as 'relu #1'" in said[0]
    said.clear()
    show("twice", tmp_path / "one.png", "relu #2", listener=listener)
    assert not any("called" in text for text in said)


@pytest.mark.parametrize(("put_out", "said"), [("tuple", "a tuple of 2"), ("dict", "a dict of 'out', 'aux'")])
@pytest.mark.parametrize("method", ["grad-cam", "occlusion"])
def test_a_network_with_several_outputs_is_told_what_to_do(put_out: str, said: str, method: str) -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Twice()

        def forward(self, x: Tensor) -> object:
            out = self.network(x)
            return (out, out) if put_out == "tuple" else {"out": out, "aux": out}

    several = Subject("several", Several().eval(), "logits", SHAPES, PREPROCESS)
    with pytest.raises(UserError, match=f"puts out {said}; expected one tensor.*Wrap it in a module"):
        class_maps(several, PIXELS, method=method)

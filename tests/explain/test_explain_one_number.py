"""A number taken apart is the network's, forward and backward."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from conftest import PREPROCESS, SHAPES, draw, untrained
from striate.architectures import build
from striate.errors import UserError
from striate.explain import Subject
from striate.explain.one_number import Place, forward_number, gradient_number
from striate.explain.subject import held

TOLERANCE = 1e-5
"""Of the value, relative: float32 in the network, float64 here."""
PIXELS, _ = draw(1, seed=3)
IMAGE = PIXELS[0]


def mixed() -> Subject:
    """Groups, dilation, strides, uneven kernels and padding, normalisation."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding=(1, 2)),
        nn.BatchNorm2d(6),
        nn.ReLU6(inplace=True),
        nn.Conv2d(6, 4, 3, padding="same", dilation=2, groups=2, bias=False),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(4 * 12 * 24, 3),
    )
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.uniform_(norm.running_mean, -1, 1)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 2)
    return Subject("mixed", network.eval(), "logits", SHAPES, PREPROCESS)


@pytest.mark.parametrize("text", ["0,0,0,0", "0,5,7,23", "3,0,0,0", "3,3,11,12", "6,2"])
def test_number_equals_the_networks(text: str) -> None:
    found = forward_number(mixed(), IMAGE, Place.parse(text))
    assert found.agrees
    assert found.value == pytest.approx(found.network_value, rel=TOLERANCE, abs=1e-6)
    for stage in found.stages:
        assert stage.value == pytest.approx(stage.network_value, rel=TOLERANCE, abs=1e-6)


def test_normalisation_and_activation_follow() -> None:
    found = forward_number(mixed(), IMAGE, Place("0", 2, 3, 4))
    assert [stage.kind for stage in found.stages] == ["BatchNorm2d", "ReLU6"]
    assert [stage.kind for stage in forward_number(mixed(), IMAGE, Place("3", 0, 3, 4)).stages] == ["GELU"]


@pytest.mark.parametrize("text", ["0,0,0,0", "0,2,23,11", "3,0,0,0", "3,5,6,7", "6,100"])
def test_gradient_equals_autograd(text: str) -> None:
    subject, place = mixed(), Place.parse(text)
    found = gradient_number(subject, IMAGE, place, label=1)
    assert found.agrees
    network = list(subject.network.children())
    inputs = subject.tensor(IMAGE[None])
    for module in network[: int(place.layer)]:
        inputs = module(inputs)
    inputs = inputs.detach().requires_grad_()
    with held(subject.network):
        score = nn.Sequential(*network[int(place.layer) :])(inputs)[0, 1]
        (grad,) = torch.autograd.grad(score, inputs)
    values = grad[0].reshape(len(grad[0]), *((1, 1) if grad.ndim == 2 else grad.shape[2:]))
    expected = float(values[place.channel, place.row, place.column])
    assert found.value == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_gradient_leaves_out_what_comes_by_a_shortcut() -> None:
    network = build("mynet", PREPROCESS.input_shape, 3).eval()
    subject = Subject("mynet", network, "logits", SHAPES, PREPROCESS)
    assert gradient_number(subject, IMAGE, Place("residual1.conv1", 4, 3, 5), 0).agrees


def test_number_outside_of_what_it_sees_changes_nothing() -> None:
    subject, place = untrained(), Place("conv2", 3, 4, 5)
    found = forward_number(subject, IMAGE, place)
    assert found.field is not None
    top, left, bottom, right = found.field
    changed = np.full_like(IMAGE, 7)
    inside = (slice(None), slice(max(0, top), bottom + 1), slice(max(0, left), right + 1))
    changed[inside] = IMAGE[inside]
    assert forward_number(subject, changed, place).value == found.value


def test_text_and_plain_values_hold_every_product() -> None:
    found = forward_number(untrained(), IMAGE, Place("conv1", 0, 4, 4))
    text = str(found)
    assert "conv1, channel 0, y 4, x 4" in text
    assert "equal" in text
    assert "relu1 (ReLU)" in text
    products = np.array(json.loads(json.dumps(found.facts()))["products"])
    assert products.shape == (3, 3, 3)
    assert products.sum() + found.bias == pytest.approx(found.value)
    assert found._repr_html_().count("<tr><th scope='row'>") == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv1,8,0,0", "channel 8 is out of range: conv1 has 8 channels of 24 x 24"),
        ("conv1,0,24,0", "y 24 is out of range"),
        ("conv1,0,0,-1", "x -1 is out of range"),
        ("relu1,0,0,0", "a number is taken apart in a convolution or linear layer: conv1, conv2, conv3"),
        ("conv9,0,0,0", "no layer 'conv9': did you mean"),
        ("conv1,a,0,0", "expected LAYER,CHANNEL,Y,X"),
        ("conv1,1,2", "expected LAYER,CHANNEL,Y,X"),
    ],
)
def test_bad_places_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        forward_number(untrained(), IMAGE, Place.parse(text))

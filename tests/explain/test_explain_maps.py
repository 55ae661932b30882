"""Class maps are what their formulas say, and leave the network as they found it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from conftest import PREPROCESS, SHAPES, draw, untrained
from striate.architectures import build
from striate.errors import StriateError, UserError
from striate.explain import METHODS, Subject, class_maps
from striate.explain.attribution import input_gradients, integrated_gradients
from striate.explain.maps import class_number
from striate.explain.subject import held

TOLERANCE = 1e-4
"""Relative: float32 sums in another order."""
COMPLETENESS = 1e-2
"""Of the score: the quadrature goes over kinks of ReLU."""
PIXELS, _ = draw(3, seed=3)
LAYER = "relu3"


def gradients(subject: Subject, labels: np.ndarray, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """The maps of a layer and their gradients, by autograd alone, in two halves of the network."""
    names = list(dict(subject.network.named_children()))
    children = list(subject.network.children())
    cut = names.index(layer) + 1
    with torch.no_grad():
        maps = nn.Sequential(*children[:cut])(subject.tensor(PIXELS))
    maps.requires_grad_()
    scores = nn.Sequential(*children[cut:])(maps)
    (grad,) = torch.autograd.grad(scores[torch.arange(len(labels)), torch.from_numpy(labels)].sum(), maps)
    return maps.detach().numpy(), grad.numpy()


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return bool(np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max())


def state(network: nn.Module) -> list[Any]:
    hooks = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks) for m in network.modules()]
    return [
        [tuple(len(each) for each in three) for three in hooks],
        [module.training for module in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        [parameter.grad is None for parameter in network.parameters()],
    ]


def test_last_convolution_is_found_with_its_activation(shapes: Subject) -> None:
    assert shapes.last_convolution == LAYER


def test_last_convolution_of_a_residual_net_is_the_whole_block() -> None:
    network = build("mynet", (1, 28, 28), 10)
    subject = Subject("mynet", network, "logits", tuple("0123456789"), grey())
    assert subject.last_convolution == "residual2"


class Branches(nn.Module):
    """Two branches of different depth, joined, as in GoogLeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = Joined()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.average(self.mixed(images)).flatten(1))


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.MaxPool2d(3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.left(images), self.right(images)], dim=1)


def test_last_convolution_of_joined_branches_is_what_joins_them() -> None:
    torch.manual_seed(0)
    subject = Subject("branches", Branches().eval(), "logits", tuple("abc"), PREPROCESS)
    assert subject.last_convolution == "mixed"
    maps = class_maps(subject, PIXELS, method="cam")
    bias = subject.network.get_parameter("head.bias").detach().numpy()[maps.classes]
    assert close(maps.values.mean(axis=(1, 2)) + bias, maps.scores[np.arange(3), maps.classes])


def grey() -> Any:
    changed = {"channels": 1, "height": 28, "width": 28, "mean": (0.5,), "std": (0.3,)}
    return PREPROCESS.model_copy(update=changed)


def test_cam_adds_up_to_the_score_of_the_class(shapes: Subject) -> None:
    maps = class_maps(shapes, PIXELS, method="cam")
    bias = shapes.network.get_parameter("linear1.bias").numpy()[maps.classes]
    scores = maps.scores[np.arange(3), maps.classes]
    assert close(maps.values.mean(axis=(1, 2)) + bias, scores)


def test_cam_of_one_output_adds_up_to_the_scores_of_both_classes() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(*layers, nn.Linear(8, 1)).eval()
    subject = Subject("two", network, "logit", ("cat", "dog"), PREPROCESS)
    bias = network[4].bias.item()
    for label, sign in ((0, -1), (1, 1)):
        maps = class_maps(subject, PIXELS, [label] * 3, "cam")
        assert close(maps.values.mean(axis=(1, 2)) + sign * bias, maps.scores[:, label])


def test_grad_cam_equals_weights_by_autograd(shapes: Subject) -> None:
    found = class_maps(shapes, PIXELS)
    maps, grad = gradients(shapes, found.classes, LAYER)
    assert close(found.values, np.einsum("nk,nkhw->nhw", grad.mean(axis=(2, 3)), maps))


@pytest.mark.parametrize("layer", ["conv2", LAYER])
def test_grad_cam_equals_captum(shapes: Subject, layer: str) -> None:
    found = class_maps(shapes, PIXELS, [0, 1, 2], layer=layer)
    captum = LayerGradCam(shapes.network, shapes.network.get_submodule(layer))
    theirs = captum.attribute(shapes.tensor(PIXELS).requires_grad_(), torch.arange(3))
    assert close(found.values, theirs[:, 0].detach().numpy())


def test_grad_cam_of_an_averaging_net_is_its_cam(shapes: Subject) -> None:
    cam = class_maps(shapes, PIXELS, method="cam").values
    positions = cam.shape[1] * cam.shape[2]
    assert close(class_maps(shapes, PIXELS).values * positions, cam)


def test_grad_cam_plus_plus_equals_equation_19(shapes: Subject) -> None:
    found = class_maps(shapes, PIXELS, method="grad-cam++", layer="relu2")
    maps, grad = gradients(shapes, found.classes, "relu2")
    assert close(found.values, equation_19(maps, grad))


def equation_19(maps: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """Grad-CAM++ in float64, where small gradients have squares too."""
    maps, grad = maps.astype(float), grad.astype(float)
    below = 2 * grad**2 + grad**3 * maps.sum(axis=(2, 3), keepdims=True)
    alpha = np.divide(grad**2, below, where=grad != 0, out=np.zeros_like(grad))
    weights = (alpha * np.maximum(grad, 0)).sum(axis=(2, 3))
    return np.einsum("nk,nkhw->nhw", weights, maps)


def test_grad_cam_plus_plus_equals_equation_19_where_gradients_are_small() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(*layers, nn.Linear(8, 3)).eval()
    large = PREPROCESS.model_copy(update={"height": 56, "width": 56})
    subject = Subject("large", network, "logits", SHAPES, large)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 56, 56), np.uint8)
    found = class_maps(subject, pixels, method="grad-cam++", layer="1")
    maps = network[:2](subject.tensor(pixels)).detach().numpy()
    grad = network[4].weight.detach().numpy()[found.classes, :, None, None] / 56**2
    assert close(found.values, equation_19(maps, np.broadcast_to(grad, maps.shape)))


def test_layer_cam_is_the_layer_times_its_rising_gradient(shapes: Subject) -> None:
    found = class_maps(shapes, PIXELS, method="layer-cam", layer="relu2")
    maps, grad = gradients(shapes, found.classes, "relu2")
    assert close(found.values, (np.maximum(grad, 0) * maps).sum(axis=1))


def test_maps_keep_what_speaks_against_a_class(shapes: Subject) -> None:
    assert min(class_maps(shapes, PIXELS, [label] * 3).values.min() for label in range(3)) < 0


def test_input_gradient_is_the_slope_of_the_score(shapes: Subject) -> None:
    inputs, labels = shapes.tensor(PIXELS).double(), torch.tensor([0, 1, 2])
    network = untrained()
    network.network.load_state_dict(shapes.network.state_dict())
    double = replace(network, network=network.network.double())
    generator = np.random.default_rng(0)
    inputs += torch.from_numpy(generator.normal(0, 1e-2, inputs.shape))  # no two pixels tie for a maximum
    step = torch.from_numpy(generator.normal(0, 1e-9, inputs.shape))
    with held(double.network):
        slope = (input_gradients(double, inputs, labels) * step).sum(dim=(1, 2, 3))
        ahead, back = double.network(inputs + step), double.network(inputs - step)
    change = (ahead - back)[torch.arange(3), labels] / 2
    assert torch.allclose(slope, change, rtol=1e-3, atol=1e-13)


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(shapes: Subject) -> None:
    inputs, labels = shapes.tensor(PIXELS), torch.tensor([0, 1, 2])
    with held(shapes.network):
        total = integrated_gradients(shapes, inputs, labels, steps=64).sum(dim=(1, 2, 3))
        ends = shapes.network(inputs) - shapes.network(torch.zeros_like(inputs))
    expected = ends[torch.arange(3), labels]
    assert (total - expected).abs().max() <= COMPLETENESS * expected.abs().max()


def test_occlusion_marks_the_only_pixels_that_count() -> None:
    weight = torch.zeros(2, 3, 24, 24)
    weight[1, :, 4:8, 12:16] = 1
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 2, bias=False))
    network[1].weight.data = weight.flatten(1)
    subject = Subject("corner", network, "logits", ("a", "b"), PREPROCESS)
    bright = np.full((1, 3, 24, 24), 255, np.uint8)
    (values,) = class_maps(subject, bright, [1], "occlusion").values
    top, left = np.unravel_index(values.argmax(), values.shape)
    assert 4 <= top < 8
    assert 12 <= left < 16
    assert values[16:].max() == 0


def test_one_logit_explains_both_classes_with_opposite_signs() -> None:
    network = build("cats-cnn", (3, 24 * 4, 24 * 4), 2)
    pre = PREPROCESS.model_copy(update={"height": 96, "width": 96})
    subject = Subject("cats", network, "logit", ("cat", "dog"), pre)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 96, 96), np.uint8)
    cat, dog = (class_maps(subject, pixels, [label]).values for label in (0, 1))
    assert np.abs(dog).max() > 0
    assert close(-cat, dog)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "score-cam"])
def test_network_is_as_before(method: str) -> None:
    subject = untrained()
    subject.network.train()
    before = state(subject.network)
    class_maps(subject, PIXELS, method=method)
    assert state(subject.network) == before


def test_network_is_as_before_after_an_error() -> None:
    subject = untrained()
    before = state(subject.network)
    for method, layer in (("grad-cam", "linear1"), ("cam", "relu1"), ("grad-cam", "flatten1")):
        with pytest.raises(UserError):
            class_maps(subject, PIXELS, method=method, layer=layer)
    broken = replace(subject, network=nn.Sequential(subject.network, nn.Linear(5, 3)))
    with pytest.raises(RuntimeError):
        class_maps(broken, PIXELS, layer="0.relu3")
    assert state(subject.network) == before


def test_frozen_network_gives_the_same_map() -> None:
    subject = untrained()
    free = class_maps(subject, PIXELS).values
    subject.network.requires_grad_(False)
    assert np.array_equal(class_maps(subject, PIXELS).values, free)


def test_in_place_activation_after_the_layer_changes_nothing() -> None:
    subject = untrained()
    expected = class_maps(subject, PIXELS, layer="conv3").values
    subject.network.set_submodule("relu3", nn.ReLU(inplace=True))
    assert np.array_equal(class_maps(subject, PIXELS, layer="conv3").values, expected)


def test_layer_may_be_given_by_its_number(shapes: Subject) -> None:
    found = [class_maps(shapes, PIXELS, layer=layer).layer for layer in (4, "4", -6)]
    assert found == ["relu2"] * 3


def test_score_cam_of_one_image(shapes: Subject) -> None:
    (values,) = class_maps(shapes, PIXELS[:1], method="score-cam").values
    assert values.shape == (12, 12)
    assert np.ptp(values) > 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "gradcam"}, "did you mean 'grad-cam'"),
        ({"layer": "relu33"}, "did you mean 'relu3'. There are 10, numbered from 0: relu3, conv1"),
        ({"layer": 99}, "no layer '99'"),
        ({"classes": [0, 1, 3]}, "class 3 is out of range: there are 3"),
        ({"layer": "linear1"}, "a class map needs maps"),
        ({"method": "occlusion", "layer": "relu3"}, "looks at the input"),
        ({"method": "cam", "layer": "relu1"}, "between this layer and the score something else happens"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(shapes: Subject, change: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text.replace("?", ".")):
        class_maps(shapes, PIXELS, **change)


def test_network_without_convolutions_offers_other_methods() -> None:
    network = build("mlp", PREPROCESS.input_shape, 3)
    subject = Subject("mlp", network, "logits", SHAPES, PREPROCESS)
    with pytest.raises(UserError, match=r"no convolution.*integrated-gradients"):
        class_maps(subject, PIXELS)
    assert class_maps(subject, PIXELS, method="input-gradients").values.shape == (3, 24, 24)


def test_weights_with_nan_are_refused() -> None:
    subject = untrained()
    subject.network.get_parameter("conv3.weight").data[0, 0, 0, 0] = torch.nan
    with pytest.raises(StriateError, match="NaN"):
        class_maps(subject, PIXELS, [0, 0, 0])


def test_pixels_and_classes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(N, \*\(3, 24, 24\)\)"):
        class_maps(untrained(), PIXELS[:, :1])
    with pytest.raises(ValueError, match="2 classes for 3 images"):
        class_maps(untrained(), PIXELS, [0, 1])


def test_class_is_found_by_name_or_number() -> None:
    assert class_number("ring", SHAPES) == class_number("1", SHAPES) == class_number(1, SHAPES) == 1
    with pytest.raises(UserError, match="did you mean 'ring'"):
        class_number("rings", SHAPES)
    with pytest.raises(UserError, match="out of range"):
        class_number(-1, SHAPES)


def test_softmax_head_is_warned_of() -> None:
    network = build("stride-simple", PREPROCESS.input_shape, 3)
    subject = Subject("soft", network, "log_probabilities", SHAPES, PREPROCESS)
    assert "look alike" in subject.warnings[0]

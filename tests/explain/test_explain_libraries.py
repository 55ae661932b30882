"""All that looks inside works on the networks of torchvision and timm, and leaves them as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

import striate
from conftest import SHAPES
from striate import backbones, bundle
from striate.bundle import TrainingData
from striate.errors import UserError
from striate.explain import Ascent, Subject, activations, class_maps, receptive_fields, visualise
from striate.explain.first_layer import first_kernels
from striate.explain.layers import trace
from striate.explain.naming import find_name, short_name
from striate.inference import Classifier
from striate.schemas import Preprocess

TOLERANCE = 1e-4
"""Relative to the largest value: float32 sums in another order."""
SIDE = 48
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE), np.uint8)
PREPROCESS = Preprocess(channels=3, height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
LAST = {"squeezenet1_1": "classifier.2", "timm/test_resnet": "layer4"}
"""Where each network's last convolution ends, after its activation and what its block adds."""


@pytest.fixture(scope="module", params=LAST)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def classifier(name: str, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A bundle with random weights, read again."""
    model = backbones.find(name, size=(SIDE, SIDE))
    network, _ = model.start((3, SIDE, SIDE), len(SHAPES), seed=1)
    folder = tmp_path_factory.mktemp("model")
    bundle.write(
        folder,
        {key: tensor.numpy() for key, tensor in network.state_dict().items()},
        name="random",
        **model.for_bundle(),
        class_names=SHAPES,
        preprocess=PREPROCESS,
        data=TrainingData(name="noise", fingerprint="0", samples=1),
    )
    return striate.load(folder)


@pytest.fixture(scope="module")
def subject(classifier: Classifier) -> Subject:
    return Subject.of(classifier)


@pytest.fixture(autouse=True)
def unchanged(subject: Subject) -> None:
    """Hooks, mode and gradients are as before after each test."""
    modes = [module.training for module in subject.network.modules()]
    needed = [one.requires_grad for one in subject.network.parameters()]
    yield
    modules = list(subject.network.modules())
    assert not any(one._forward_hooks or one._forward_pre_hooks or one._backward_hooks for one in modules)
    assert [module.training for module in modules] == modes
    assert [one.requires_grad for one in subject.network.parameters()] == needed
    assert all(one.grad is None for one in subject.network.parameters())


def test_grad_cam_of_the_last_convolution_is_captums(subject: Subject, name: str) -> None:
    maps = class_maps(subject, PIXELS, [0, 2])
    module = subject.network.get_submodule(maps.layer)
    expected = LayerGradCam(subject.network, module).attribute(
        subject.tensor(PIXELS), target=torch.tensor([0, 2])
    )
    difference = np.abs(maps.values - expected[:, 0].detach().numpy()).max()
    assert difference <= TOLERANCE * np.abs(maps.values).max()
    assert maps.layer == LAST[name]


@pytest.mark.parametrize("method", ["grad-cam++", "layer-cam", "input-gradients", "occlusion"])
def test_every_method_makes_maps_of_each_class(subject: Subject, method: str) -> None:
    maps = class_maps(subject, PIXELS, [0, 1], method)
    assert maps.values.shape[0] == 2
    assert np.isfinite(maps.values).all()
    assert np.ptp(maps.values, axis=(1, 2)).min() > 0


@pytest.mark.parametrize("name", ["timm/test_resnet"], indirect=True, scope="module")  # the quicker one
def test_a_map_gets_its_card(classifier: Classifier) -> None:
    from striate.explain import Request, explain_images

    (one,) = explain_images(Subject.of(classifier), [PIXELS[0].transpose(1, 2, 0)], Request(label=1))
    assert one.verdict.level in ("good", "weak", "bad")


def test_activations_are_what_the_layer_puts_out(classifier: Classifier, subject: Subject) -> None:
    layer = subject.last_convolution
    (seen,) = activations(classifier, PIXELS, layer).values()
    kept: list[torch.Tensor] = []
    handle = subject.network.get_submodule(layer).register_forward_hook(lambda *parts: kept.append(parts[2]))
    try:
        with torch.no_grad():
            subject.network(subject.tensor(PIXELS))
    finally:
        handle.remove()
    assert np.abs(seen.values - kept[0].numpy()).max() <= TOLERANCE * np.abs(seen.values).max()


def test_first_kernels_and_images_of_channels(subject: Subject) -> None:
    kernels = first_kernels(subject)
    assert kernels.weights.shape[1] == 3
    made = visualise(subject, kernels.layer, [0, 1], Ascent(steps=16), size=32)
    assert (made.after > made.before).all()


def test_receptive_fields_end_where_the_network_does(subject: Subject) -> None:
    fields = receptive_fields(subject.network, (3, SIDE, SIDE))
    assert max(one.size[0] for one in fields.layers if one.size is not None) > 32


def test_long_names_are_known_by_their_ends(subject: Subject) -> None:
    names = [call.name for call in trace(subject.network, (3, SIDE, SIDE)) if call.name]
    assert all(find_name(short_name(one, names), names) == one for one in names)
    deep = ["above.left.conv", "above.right.conv", "above.right.block.inside.the.very.deepest.conv.norm"]
    assert short_name(deep[2], deep) == "norm"
    assert find_name("norm", deep) == deep[2]
    assert short_name(deep[0], deep) == deep[0]  # not long
    with pytest.raises(UserError, match=r"2 layers end in 'conv': above\.left\.conv, above\.right\.conv"):
        find_name("conv", deep)

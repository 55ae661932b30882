"""One contract for the networks of both libraries: a new head, frozen layers, features, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import backbones
from striate.errors import SpecError
from striate.training import freezing

CLASSES = 3
QUICK = [
    "timm/test_resnet",
    "timm/test_vit",
    "timm/test_convnext",
    "timm/dla46x_c",
    "timm/lcnet_035",
    "timm/mobilenetv2_035",
    "timm/mobilenetv3_small_050",
    "timm/ghostnet_050",
    "timm/hgnetv2_b0",
    "timm/edgenext_xx_small",
    "timm/starnet_s050",
    "timm/ese_vovnet19b_slim_dw",
    "timm/cs3darknet_focus_s",
    "timm/tf_efficientnet_lite0",
    "timm/mobilevit_xxs",
    "timm/resnetv2_18",
    "timm/regnetx_002",
    "timm/pvt_v2_b0",
    "resnet18",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
]
SLOW = [
    "timm/densenet121",
    "timm/dpn48b",
    "timm/rexnet_100",
    "timm/fasternet_t0",
    "timm/inception_next_atto",
    "timm/mambaout_femto",
    "timm/efficientvit_b0",
    "timm/xcit_nano_12_p16_224",
    "timm/skresnet18",
    "timm/resnest14d",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "regnet_y_400mf",
]
"""The smallest members of families of convolutional networks, transformers and what lies between."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_network_gets_a_head_learns_by_it_alone_and_comes_back_from_its_weights(name):
    shape = (3, 64, 64)
    model = backbones.find(name, size=shape[1:])
    network, source = model.start(shape, CLASSES, seed=1)
    layout = backbones.layout_of(network)
    head = [tensor for tensor in layout.tensors if tensor.head]
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    assert source == ""
    assert [tensor.shape[0] for tensor in head] == [CLASSES, CLASSES]  # a weight and a bias
    with torch.no_grad():
        logits = network.eval()(images)
        extractor, last = backbones.split(network)
        features = extractor(images)
        torch.testing.assert_close(last(features), logits)
    assert logits.shape == (2, CLASSES)
    assert features.shape == (2, head[0].shape[1])

    freezing.apply(network, backbones.make_plan("head", layout), epoch=0)
    network(images).square().sum().backward()
    with_gradient = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    assert with_gradient == [tensor.name for tensor in head]
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)  # no statistics have moved

    weights = {name: tensor.numpy() for name, tensor in before.items()}
    spec = backbones.BackboneSpec.from_dict(model.for_bundle()["backbone"])
    again = backbones.assemble(spec, shape, CLASSES, weights).state_dict()
    assert list(again) == list(before)
    for key, tensor in again.items():
        torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)


def test_the_seed_alone_decides_on_the_weights_and_torchs_generator_is_left_alone():
    model, state = backbones.find("timm/test_resnet"), torch.random.get_rng_state()
    first, again, other = (model.start((3, 64, 64), 3, seed=seed).network for seed in (4, 4, 5))
    assert torch.equal(torch.random.get_rng_state(), state)
    name = "layer1.0.conv1.weight"
    torch.testing.assert_close(first.state_dict()[name], again.state_dict()[name], rtol=0, atol=0)
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    assert torch.equal(first.fc.weight, again.fc.weight)


def test_a_network_with_two_heads_is_refused_with_their_names():
    with pytest.raises(SpecError, match=r"2 last layers with 1000 outputs: head.linear, head_dist.linear"):
        backbones.find("timm/levit_128s").layout((3, 224, 224), CLASSES)


def test_images_with_one_channel_are_refused_with_the_option_to_choose():
    with pytest.raises(SpecError, match="takes images with 3 channels, not 1; choose --channels rgb"):
        backbones.find("timm/test_resnet").start((1, 64, 64), CLASSES)


def test_a_network_of_a_library_is_refused_on_the_engine():
    with pytest.raises(SpecError, match="comes from timm and needs PyTorch, not --engine numpy"):
        backbones.find("timm/test_resnet").start((3, 64, 64), CLASSES, engine="numpy")


@pytest.mark.parametrize(
    ("head", "extra"),
    [
        (backbones.Head(dropout=0.2), {"fc.dropout", "fc.linear"}),
        (backbones.Head(hidden=16), {"fc.hidden", "fc.relu", "fc.linear"}),
        (
            backbones.Head(base="average", hidden=16, dropout=0.5),
            {"fc.flatten", "fc.hidden", "fc.relu", "fc.dropout", "fc.linear"},
        ),
        (backbones.Head(base="flatten"), {"fc.flatten", "fc.linear"}),
    ],
)
def test_the_layers_of_the_head_are_those_asked_for(head, extra):
    network = backbones.find("resnet18", head=head).start((3, 64, 64), CLASSES).network
    assert {name for name, _ in network.named_modules() if name.startswith("fc.")} == extra
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network.eval()(images)
        extractor, last = backbones.split(network)
        torch.testing.assert_close(last(extractor(images)), logits)
    assert extractor(images).shape[1] == (512 * 2 * 2 if head.base == "flatten" else 512)


def test_one_logit_for_two_classes_and_no_others():
    head = backbones.Head(output="logit")
    model = backbones.find("timm/test_resnet", head=head)
    network = model.start((3, 64, 64), 2).network
    assert network.output == "logit"
    assert network.fc.out_features == 1
    with pytest.raises(SpecError, match="one logit tells 2 classes apart, the data has 3"):
        model.start((3, 64, 64), 3)


def test_squeezenets_own_head_has_no_features_and_an_averaged_one_has():
    shape = (3, 64, 64)
    with pytest.raises(SpecError, match="choose --head average"):
        backbones.split(backbones.find("squeezenet1_0").start(shape, CLASSES).network)
    averaged = backbones.find("squeezenet1_0", head=backbones.Head(base="average"))
    network = averaged.start(shape, CLASSES).network.eval()
    extractor, last = backbones.split(network)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert extractor(images).shape == (2, 512)
        torch.testing.assert_close(last(extractor(images)), network(images))


def test_a_head_on_maps_is_refused_where_no_layer_pools_them():
    with pytest.raises(SpecError, match="expected --head last, not flatten"):
        backbones.find("mobilenet_v2", head=backbones.Head(base="flatten")).start((3, 64, 64), CLASSES)


def test_the_embedded_network_is_split_too(lite0):
    model = backbones.find("lite0", size=(64, 64))
    network, source = model.start((3, 64, 64), CLASSES, weights="pretrained")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        extractor, last = backbones.split(network.eval())
        torch.testing.assert_close(last(extractor(images)), network(images))
    assert source == lite0.source
    own = network.state_dict()
    for name, array in lite0.weights.items():
        if not name.startswith("classifier"):
            np.testing.assert_array_equal(own[name].numpy(), array)

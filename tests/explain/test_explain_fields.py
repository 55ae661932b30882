"""Receptive fields: their arithmetic, against gradients, torchlens and published values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from random_networks import CHANNELS, positive_network, random_spec
from torch import nn

from striate.architectures import Spec, build, load_spec, names
from striate.architectures.blocks import Residual
from striate.architectures.layers import Conv2d, Flatten, Layer, Linear
from striate.architectures.pooling import AdaptiveAvgPool2d, MaxPool2d
from striate.architectures.zoo import NETS
from striate.errors import SpecError, UserError
from striate.explain import receptive_fields
from striate.explain.fields import Span

SIDE = 160
"""Larger than any field of the random networks, so that one in the middle lies within the image."""


def _net(*layers: Layer) -> Spec:
    return Spec("net", (*layers, AdaptiveAvgPool2d(1), Flatten(), Linear("num_classes")))


# Arithmetic


@pytest.mark.parametrize(
    ("first", "size"),
    [
        (Conv2d(1, 3, name="first"), 5),
        (Conv2d(1, 3, stride=2, name="first"), 7),
        (Conv2d(1, 5, name="first"), 7),
        (MaxPool2d(2, name="first"), 6),
        (Conv2d(1, 3, dilation=2, name="first"), 7),
    ],
)
def test_two_layers_see_what_the_course_drew(first: Layer, size: int) -> None:
    fields = receptive_fields(_net(first, Conv2d(1, 3, name="second")), (1, 32, 32))
    assert fields["second"].size == (size, size)


def test_a_convolution_at_stride_1_adds_its_size_less_one() -> None:
    sizes = [1, 2, 3, 5, 7]
    spec = _net(*(Conv2d(1, size, name=f"conv_{size}") for size in sizes))
    fields = receptive_fields(spec, (1, 32, 32))
    assert [fields[f"conv_{size}"].size[0] for size in sizes] == list(1 + np.cumsum(np.array(sizes) - 1))


def test_a_skip_sees_what_the_longer_of_its_paths_sees() -> None:
    inner = [Conv2d(1, 3, padding=1), Conv2d(1, 3, padding=1)]
    fields = receptive_fields(_net(Conv2d(1, 3, padding=1), Residual(inner, name="skip")), (1, 32, 32))
    assert fields["skip"].size == (7, 7)


def test_sides_of_different_padding_move_the_first_field() -> None:
    spec = _net(Conv2d(1, (5, 3), padding=((1, 3), (0, 2)), name="conv"))
    rows, columns = receptive_fields(spec, (1, 32, 32))["conv"].field.spans
    assert (rows.padding, columns.padding) == (1, 0)
    assert (rows.centre, columns.centre) == (1, 1)


def test_upsampling_by_a_transposed_convolution_divides_the_stride() -> None:
    span = Span(Fraction(7), Fraction(4)).spread(2, kernel_size=2)
    assert span == Span(Fraction(9), Fraction(2), Fraction(-2))


def test_box_is_the_field_of_one_output() -> None:
    fields = receptive_fields("vgg6", (3, 32, 32))
    layer = fields["pool2"]
    assert layer.size == (16, 16)
    assert layer.box(0, 0) == (-6, -6, 9, 9)
    assert layer.box(2, 3) == (2, 6, 17, 21)


# What sees the whole image


def test_global_pooling_and_linear_layers_see_the_whole_image() -> None:
    fields = receptive_fields("cats-cnn", (3, 150, 150), 2)
    assert fields["conv4"].field.whole == ""
    assert fields["pool5"].field.whole == fields["linear2"].field.whole == "global pooling"
    assert receptive_fields("vgg6", (3, 32, 32))["linear1"].field.whole == "a fully connected layer"


def test_a_gate_makes_all_see_the_whole_image_and_the_field_without_it_is_kept() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())
            self.after = nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return self.after(x * self.gate(x))

    layer = receptive_fields(Gated(), (1, 16, 16))["after"]
    assert (layer.field.whole, layer.size) == ("global pooling", (5, 5))
    assert "whole image (global pooling); without it 5" in str(receptive_fields(Gated(), (1, 16, 16)))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.GroupNorm(2, 4), "normalisation by statistics of the map"),
        (nn.InstanceNorm2d(4), "normalisation by statistics of the map"),
        (nn.LayerNorm((4, 16, 16)), "normalisation by statistics of the map"),
        (nn.Softmax(dim=2), "attention"),
        (nn.Unfold(3), "the operation im2col, which is not followed"),
    ],
)
def test_what_looks_at_all_places_or_is_not_followed_says_so(module: nn.Module, reason: str) -> None:
    assert receptive_fields(nn.Sequential(nn.Conv2d(1, 4, 1), module), (1, 16, 16))["1"].field.whole == reason


# Torch networks


@pytest.mark.parametrize("name", names())
def test_shape_arithmetic_and_tracing_agree_on_every_net_of_the_zoo(name: str) -> None:
    net = NETS[name]
    from_spec = receptive_fields(load_spec(name), net.input_shape, net.num_classes)
    traced = receptive_fields(build(name, net.input_shape, net.num_classes), net.input_shape)
    by_name = {layer.name: (layer.output_shape, layer.field) for layer in traced.layers}
    for layer in from_spec.layers:
        assert by_name[layer.name] == (layer.output_shape, layer.field), layer.name


@pytest.mark.parametrize("seed", range(9))
def test_a_field_is_where_the_gradient_is_not_zero(seed: int) -> None:
    spec = random_spec(seed)
    network = positive_network(spec, SIDE)
    fields = receptive_fields(network, (1, SIDE, SIDE))
    by_shapes = receptive_fields(spec, (1, SIDE, SIDE), 2)
    assert all(fields[layer.name].field == layer.field for layer in by_shapes.layers)
    last = by_shapes.layers[-4]
    outputs: list[torch.Tensor] = []
    handle = network.get_submodule(last.name).register_forward_hook(lambda *call: outputs.append(call[-1]))
    image = torch.rand((1, 1, SIDE, SIDE), dtype=torch.float64, requires_grad=True)
    network(image)
    handle.remove()
    row, column = (length // 2 for length in last.output_shape[1:])
    outputs[0][0, :, row, column].sum().backward()
    seen = np.argwhere(image.grad[0, 0].numpy() != 0)
    assert (*seen.min(axis=0), *seen.max(axis=0)) == last.box(row, column)
    assert last.output_shape[0] == CHANNELS


@pytest.mark.parametrize("seed", [3, 5, 6])
def test_fields_are_those_of_torchlens(seed: int) -> None:
    """It does not follow branches that are concatenated: these networks have skips and pooling."""
    torchlens = pytest.importorskip("torchlens")
    network = positive_network(random_spec(seed), 64)
    rows = torchlens.trace(network, torch.zeros(1, 1, 64, 64).double()).receptive_fields("module").frame
    theirs = {row.name: row for row in rows.itertuples() if row.size}
    ours = {layer.name: layer for layer in receptive_fields(network, (1, 64, 64)).layers}
    both = theirs.keys() & ours.keys()
    assert len(both) > 12
    for name in both:
        row = theirs[name]
        spans = ours[name].field.spans
        assert tuple(span.size for span in spans) == row.size, name
        assert tuple(span.stride for span in spans) == row.jump, name
        assert tuple(span.centre for span in spans) == row.center0, name


@pytest.mark.parametrize(
    ("library", "name", "layer", "published"),
    [
        ("torchvision", "alexnet", "features.12", (195, 32, None)),  # padded otherwise than there
        ("torchvision", "vgg16", "features", (212, 32, 90)),
        ("torchvision", "inception_v3", "Mixed_7c", (1311, 32, 618)),
        ("timm", "inception_v4", "features", (2071, 32, 998)),
        ("timm", "inception_resnet_v2", "conv2d_7b", (3039, 32, 1482)),
    ],
)
def test_fields_are_the_published_ones(library, name, layer, published) -> None:
    """The table of Araujo, Norris and Sim (2019), google-research/receptive_field."""
    fields = receptive_fields(_untrained(library, name), (3, 299, 299))
    for span in fields[layer].field.spans:
        assert (span.size, span.stride) == published[:2]
        assert published[2] in (None, span.padding)


def test_resnet_50_sees_483_pixels_with_the_strides_of_the_paper_table_and_427_in_torchvision() -> None:
    """TF-slim, from which 483 is published, strides in the last unit of a stage; torchvision in the first."""
    blocks = [Conv2d(4, 7, stride=2, padding=3), MaxPool2d(3, 2)]
    for stage, units in enumerate((3, 4, 6, 3)):
        for unit in range(units):
            stride = 2 if unit == units - 1 and stage < 3 else 1
            blocks.append(Conv2d(4, 3, stride=stride, padding=1))
    fields = receptive_fields(_net(*blocks), (1, 224, 224))
    assert (fields.deepest.size, fields.deepest.field.spans[0].padding) == ((483, 483), 239)
    theirs = receptive_fields(_untrained("torchvision", "resnet50"), (3, 224, 224))
    assert (theirs.deepest.size, theirs.deepest.field.spans[0].stride) == ((427, 427), 32)


@pytest.mark.parametrize(
    ("name", "reason", "size"),
    [
        ("resnetblur18", "", 495),
        ("convnext_atto", "", 1136),
        ("vit_tiny_patch16_224", "attention", 16),
        ("efficientnet_b0", "global pooling", 851),
    ],
)
def test_networks_of_timm_are_followed(name: str, reason: str, size: int) -> None:
    deepest = receptive_fields(_untrained("timm", name), (3, 224, 224)).deepest
    assert deepest.field.whole == reason
    assert deepest.size == (size, size)


def _untrained(library: str, name: str) -> nn.Module:
    """Return a network without values: nothing is computed."""
    with torch.device("meta"):
        if library == "timm":
            import timm

            return timm.create_model(name)
        import torchvision

        options = {"init_weights": False} if name == "inception_v3" else {}
        return torchvision.models.get_model(name, weights=None, **options)


def test_mode_gradients_and_hooks_stay_as_they_were_also_after_an_error() -> None:
    network = build("mynet", (1, 28, 28), 10).train()
    network.conv1.weight.requires_grad_(False)
    network.conv2.eval()
    before = _state(network)
    receptive_fields(network, (1, 28, 28))
    assert _state(network) == before
    with pytest.raises(UserError, match=r"\(3, 28, 28\).*Give the shape"):
        receptive_fields(network, (3, 28, 28))
    assert _state(network) == before


def _state(network: nn.Module) -> list[object]:
    modules = [(name, one.training, len(one._forward_hooks)) for name, one in network.named_modules()]
    parameters = [(name, one.requires_grad, one.grad) for name, one in network.named_parameters()]
    return [modules, parameters, torch.is_grad_enabled()]


# The table


def test_the_table_leaves_out_layers_that_change_nothing() -> None:
    fields = receptive_fields("simple-cnn", (3, 32, 32))
    assert [layer.name for layer in fields.steps] == ["conv1", "conv2", "pool1", "linear1"]
    assert "3 layers that leave the field as it is are not shown." in fields.table()
    assert "relu1" in fields.table(every_layer=True)


def test_the_table_in_a_notebook_holds_no_markup_of_names() -> None:
    spec = Spec("<b>net</b>", load_spec("simple-cnn").layers)
    html = receptive_fields(spec, (3, 32, 32))._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;net" in html
    assert "<td>conv2</td>" in html


def test_remarks_compare_with_image_and_object() -> None:
    fields = receptive_fields("simple-cnn", (3, 32, 32))
    assert fields.remarks() == []
    assert "(6 x 6) is smaller than the object (12 x 9)" in fields.remarks((12, 9))[0]
    assert fields.remarks((6, 6)) == []
    (remark,) = receptive_fields("mynet", (1, 28, 28)).remarks()
    assert "residual2" in remark
    assert "(36 x 36) is larger than the image (28 x 28)" in remark
    assert "no local maps" in receptive_fields("mlp", (3, 32, 32)).remarks()[0]


def test_an_unknown_layer_lists_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'conv2'"):
        receptive_fields("simple-cnn", (3, 32, 32))["conv_2"]


def test_a_spec_that_cannot_work_on_the_image_says_so() -> None:
    with pytest.raises(SpecError, match="larger than its input"):
        receptive_fields("gray-cnn", (1, 8, 8))

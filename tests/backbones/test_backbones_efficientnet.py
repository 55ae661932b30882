"""EfficientNet-Lite0's description: sizes, padding, and the same network in timm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import backbones
from striate.architectures import infer_shapes, summarize, walk
from striate.architectures.layers import Conv2d
from striate.backbones.efficientnet import STAGES, efficientnet_lite0, same_sides
from striate.backbones.levels import feature_levels


def test_lite0_has_the_published_number_of_parameters_and_output_size():
    numbers = summarize(efficientnet_lite0(), (3, 224, 224), 1000)
    assert numbers.parameters == 4_652_008
    assert [row.output_shape for row in numbers.rows if row.name == "head_relu"] == [(1280, 7, 7)]
    assert 380e6 < numbers.multiply_adds < 410e6  # 407 million in Liu 2020, with other operations counted


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 9), (7, 12), (5, 5)])
def test_same_padding_gives_ceil_of_size_over_stride_and_no_zero_too_many(size, stride, kernel_size):
    sides = same_sides(size, kernel_size, stride)
    for n, (before, after) in zip(size, sides, strict=True):
        windows = (n + before + after - kernel_size) // stride + 1
        assert windows == -(-n // stride)
        assert after - before in (0, 1)
        if before + after:
            assert (n + before + after - 1 - kernel_size) // stride + 1 == windows - 1


def test_padding_is_asymmetric_where_tensorflow_s_is():
    assert same_sides((224, 224), 3, 2) == ((0, 1), (0, 1))
    assert same_sides((56, 56), 5, 2) == ((1, 2), (1, 2))
    assert same_sides((15, 15), 3, 2) == ((1, 1), (1, 1))


@pytest.mark.parametrize("size", [(224, 224), (230, 193), (65, 47)])
def test_every_stride_halves_the_size_rounded_up_whatever_the_size(size):
    steps = walk(infer_shapes(efficientnet_lite0(size), (3, *size), 10))
    for step in steps:
        if isinstance(step.layer, Conv2d):
            stride = step.layer.stride
            expected = tuple(-(-n // stride) for n in step.input_shape[1:])
            assert step.output_shape[1:] == expected, step.path


def test_lite0_computes_what_timms_network_computes(lite0, photos):
    timm = pytest.importorskip("timm", reason="timm is an independent description of the same network")
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    renamed = {timm_name(name): torch.tensor(array) for name, array in lite0.weights.items()}
    theirs.load_state_dict(renamed)
    x = lite0.preprocess(photos)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    found = lite0.build("numpy").predict(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def timm_name(name: str) -> str:
    """timm's name of one of our tensors."""
    outer = {"stem_conv": "conv_stem", "stem_norm": "bn1", "head_conv": "conv_head", "head_norm": "bn2"}
    first = {"depthwise_conv": "conv_dw", "depthwise_norm": "bn1", "project_conv": "conv_pw"}
    inner = {"expand_conv": "conv_pw", "expand_norm": "bn1", "depthwise_conv": "conv_dw"}
    inner |= {"depthwise_norm": "bn2", "project_conv": "conv_pwl", "project_norm": "bn3"}
    block, _, rest = name.partition(".")
    if not block.startswith("block"):
        return f"{outer.get(block, block)}.{rest}"
    places = [(stage, number) for stage, row in enumerate(STAGES) for number in range(row.blocks)]
    stage, number = places[int(block.removeprefix("block")) - 1]
    layer, _, tensor = rest.partition(".")
    table = first | {"project_norm": "bn2"} if stage == 0 else inner
    return f"blocks.{stage}.{number}.{table[layer]}.{tensor}"


def test_the_network_of_several_levels_says_what_the_plain_one_says(lite0, photos):
    levels = backbones.load("lite0-levels")
    images = lite0.preprocess(photos)
    with torch.inference_mode():
        plain, several = (net.build()(torch.from_numpy(images)) for net in (lite0, levels))
    torch.testing.assert_close(plain, several, atol=1e-4, rtol=1e-4)


def test_the_features_of_several_levels_are_means_and_maxima_of_maps(lite0, photos):
    model = backbones.find("lite0-levels")
    counts = feature_levels(model.description, (3, 224, 224), 5)
    assert counts == (24, 24, 40, 40, 80, 80, 112, 112, 192, 192, 1280)
    network = model.start((3, 224, 224), 5, weights="pretrained").network.eval()
    seen = {}
    plain = lite0.build()
    plain.get_submodule("block8").register_forward_hook(lambda *call: seen.update(maps=call[2]))
    images = torch.from_numpy(lite0.preprocess(photos[:1]))
    with torch.inference_mode():
        features = backbones.split(network).extractor(images)[0]
        plain(images)
    (maps,) = seen["maps"]
    torch.testing.assert_close(features[128:208], maps.mean((1, 2)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(features[208:288], maps.amax((1, 2)), atol=1e-5, rtol=1e-4)
    assert feature_levels(backbones.find("lite0").description, (3, 224, 224), 5) == ()

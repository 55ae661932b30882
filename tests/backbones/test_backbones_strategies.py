"""What each strategy says of each tensor, on a layout of a few tensors."""

from __future__ import annotations

from typing import get_args

import pytest

from striate import backbones
from striate.backbones import Options, make_plan
from striate.backbones.layout import Layout, ParameterTensor
from striate.config import TransferConfig
from striate.errors import UserError

NAMES = (
    "conv1",
    "bn1",
    "layer1.0.conv",
    "layer1.0.bn",
    "layer1.1.conv",
    "layer2",
    "layer3",
    "layer4",
    "layer5",
    "fc",
)
LAYOUT = Layout(
    "net",
    tuple(
        ParameterTensor(f"{module}.{tensor}", (2, 3), head=module == "fc", norm="bn" in module)
        for module in NAMES
        for tensor in ("weight", "bias")
    ),
    ("conv1", "bn1", "relu", "layer1", *NAMES[2:4], "layer1.1", *NAMES[4:]),
)


def modules(name: str, epoch: int = 0, **options: object) -> list[str]:
    """The modules whose tensors learn in an epoch."""
    plan = make_plan(name, LAYOUT, Options(**options))  # type: ignore[arg-type]
    learning = [tensor.module for tensor in LAYOUT.tensors if plan.learns(tensor.name, epoch)]
    return list(dict.fromkeys(learning))


def test_the_settings_name_every_strategy_there_is():
    assert set(get_args(TransferConfig.model_fields["strategy"].annotation)) - {"auto"} == set(
        backbones.STRATEGIES
    )
    assert set(Options.__dataclass_fields__) == {
        option for strategy in backbones.STRATEGIES.values() for option in strategy.heeds
    }


def test_everything_learns_from_scratch_and_the_head_alone_by_head_and_features():
    assert modules("scratch") == list(NAMES)
    assert modules("head") == modules("features") == ["fc"]
    assert modules("norm") == ["bn1", "layer1.0.bn", "fc"]


@pytest.mark.parametrize(
    ("place", "first"),
    [("0.35", "layer1.0.bn"), ("layer1", "layer1.0.conv"), ("layer1.1", "layer1.1.conv"), ("4", "layer2")],
)
def test_partial_freezes_a_share_or_what_lies_below_a_module(place, first):
    plan = make_plan("partial", LAYOUT, Options(freeze=place))
    learning = [tensor for tensor in LAYOUT.tensors if plan.learns(tensor.name, 0)]
    assert learning == list(LAYOUT.tensors[LAYOUT.tensors.index(learning[0]) :])
    assert learning[0].module == first


def test_parts_hold_no_more_than_a_fifth_of_the_tensors_where_they_can_be_divided():
    assert LAYOUT.parts == ("conv1", "bn1", "layer1.0", "layer1.1", "layer2", "layer3", "layer4", "layer5")
    assert [LAYOUT.part_of(tensor) for tensor in LAYOUT.tensors[::2]] == [0, 1, 2, 2, 3, 4, 5, 6, 7, 8]


def test_rates_fall_geometrically_from_the_head_to_the_first_layers():
    plan = make_plan("full", LAYOUT, Options(first_lr=0.01))
    factors = [plan.factor(f"{name}.weight") for name in NAMES]
    expected = [0.01 ** (distance / 8) for distance in (8, 7, 6, 6, 5, 4, 3, 2, 1, 0)]
    assert factors == pytest.approx(expected, rel=1e-12)


def test_the_head_learns_first_and_the_others_join_from_the_last_to_the_first():
    seen = [modules("full", epoch, head_epochs=2, unfreeze_epochs=7) for epoch in range(10)]
    assert seen[0] == seen[1] == ["fc"]
    assert seen[2] == ["layer5", "fc"]
    assert seen[6] == ["layer1.1.conv", *NAMES[5:]]
    assert seen[7] == list(NAMES[2:])
    assert seen[8] == list(NAMES[1:])
    assert seen[9] == list(NAMES)


def test_an_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown strategy 'ful': did you mean 'full'"):
        make_plan("ful", LAYOUT)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model": "mynet"}, ("random", "scratch")),
        ({"model": "lite0"}, ("pretrained", "head")),
        ({"model": "lite0", "strategy": "scratch"}, ("random", "scratch")),
        ({"model": "lite0", "strategy": "full"}, ("pretrained", "full")),
        ({"model": "lite0", "weights": "random"}, ("random", "scratch")),
        ({"model": "mynet", "weights": "some.safetensors"}, ("some.safetensors", "head")),
        ({"model": "timm/test_resnet"}, ("pretrained", "head")),
    ],
)
def test_auto_is_pretrained_weights_with_a_new_head_or_scratch(settings, expected):
    choice = backbones.choose(TransferConfig(**settings))
    assert (choice.weights, choice.strategy) == expected
    assert choice.warnings == ()


def test_freezing_what_has_learned_nothing_is_warned_of():
    (text,) = backbones.choose(TransferConfig(model="mynet", strategy="norm")).warnings
    assert "freezes layers of mynet that have learned nothing" in text
    (text,) = backbones.choose(TransferConfig(model="lite0", strategy="head", weights="random")).warnings
    assert "--weights pretrained" in text
    assert not backbones.choose(TransferConfig(model="mynet", strategy="full")).warnings


def test_scratch_with_weights_is_refused():
    with pytest.raises(UserError, match="--strategy scratch begins with random weights"):
        backbones.choose(TransferConfig(model="lite0", strategy="scratch", weights="pretrained"))


@pytest.mark.parametrize(("name", "base"), [("squeezenet1_0", "average"), ("resnet18", "last")])
def test_features_of_a_network_whose_head_is_on_maps_are_the_averaged_maps(name, base):
    config = TransferConfig(model=name, strategy="features", weights="random")
    choice = backbones.choose(config, (64, 64))
    assert choice.model.description.head.base == base
    said = [text for text in choice.warnings if "averaged maps" in text]
    assert len(said) == (base == "average")
    assert (
        backbones.choose(config.model_copy(update={"strategy": "head"})).model.description.head.base == "last"
    )

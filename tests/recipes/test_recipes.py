"""Recipes: what they say for a target, a data set and given settings, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate import config as config_file
from striate import recipes
from striate.config import TrainConfig
from striate.errors import UserError

OWN = """
about: a test
settings: {model: mlp, lr: 0.5, batch_size: 64}
pictures: {augment: flip-crop}
characters: {augment: shift}
usual_target: 0.7
levels:
  - {images: 1000, reaches: {cifar10: 0.6, mnist: 0.9}, settings: {lr: 0.1}}
  - {images: 4000, reaches: {cifar10: 0.8}, characters: {label_smoothing: 0.1}}
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return str(path)


def complete(recipe: str, images: int, class_names: list[str], **given: object) -> TrainConfig:
    settings: dict[str, object] = {"data": "cifar10", "recipe": recipe, **given}
    completed, _ = recipes.find(recipe).completed(settings, str(settings["data"]))
    config = config_file.make(TrainConfig, completed)
    return recipes.fitted(config, given, images, class_names, config.image_size or 32)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_that_comes_along_completes_to_valid_settings_at_each_level(name: str) -> None:
    recipe = recipes.find(name)
    for level in recipe.levels:
        for data, target in level.reaches.items():
            config = complete(name, 10_000, ["a", "b"], target=target, data=data)
            passes = config.epochs * 10_000 * (1 + config.hard_share) / 2
            assert passes == pytest.approx(level.images, abs=5000)
            assert config.goal == target


def test_levels_become_more_work_and_more_accurate() -> None:
    for name in recipes.names():
        levels = recipes.find(name).levels
        assert sorted(level.images for level in levels) == [level.images for level in levels]


@pytest.mark.parametrize(("target", "images"), [(None, 4000), (0.5, 1000), (0.61, 4000), (0.99, 4000)])
def test_the_first_level_that_reaches_the_target_is_chosen(
    own: str, target: float | None, images: int
) -> None:
    assert recipes.find(own).level(target, "cifar10").images == images


def test_a_level_is_chosen_by_what_it_reached_on_this_data_where_that_is_known(own: str) -> None:
    assert recipes.find(own).level(0.85, "mnist").images == 1000
    assert recipes.find(own).level(0.85, "MNIST").images == 1000  # as its folder may be called
    assert recipes.find(own).level(0.85, "cifar10").images == 4000
    assert recipes.find(own).level(0.95, "mnist").images == 4000  # none is known to: the largest


def test_fashion_mnist_has_a_level_of_its_own_that_others_never_take() -> None:
    recipe = recipes.find("fast")
    own = recipe.level(0.935, "FashionMNIST")
    assert own.settings["model_options"] == {"width": 24, "kernel": 3}
    assert recipe.level(0.91, "fashion-mnist") is own
    assert recipe.level(None, "fashion-mnist") is recipe.levels[0]
    config = complete("fast", 58_800, ["Bag", "Coat"], target=0.935, data="fashion-mnist")
    assert (config.epochs, config.augment, config.hard_share) == (3, "none", 1.0)
    for target in (0.5, 0.85, 0.91, 0.935, 0.939, 0.99):
        assert recipe.level(target, "cifar10") is not own
        assert recipe.level(target, "my photos") is not own


def test_given_settings_come_before_the_levels_and_those_before_the_recipes(own: str) -> None:
    assert complete(own, 100, ["cat", "dog"], target=0.6).lr == 0.1
    assert complete(own, 100, ["cat", "dog"], target=0.8).lr == 0.5
    config = complete(own, 100, ["cat", "dog"], target=0.6, lr=0.3, epochs=2, augment="none")
    assert (config.lr, config.epochs, config.augment) == (0.3, 2, "none")


def test_options_of_the_network_complete_each_other_and_go_with_their_network() -> None:
    def options(**given: object) -> dict[str, object]:
        return recipes.find("fast").completed({"data": "x", "recipe": "fast", "target": 0.83, **given}, "x")[
            0
        ]["model_options"]

    assert options() == {"width": 32}
    assert options(model_options={"kernel": "3"}) == {"width": 32, "kernel": "3"}
    assert options(model_options={"width": "8"}) == {"width": "8"}
    assert options(model="mynet") == {}


def test_characters_are_not_flipped(own: str) -> None:
    assert complete(own, 100, ["cat", "dog"]).augment == "flip-crop"
    written = complete(own, 100, ["3", "8"])
    assert (written.augment, written.label_smoothing) == ("shift", 0.1)


def test_epochs_follow_from_the_number_of_images_within_bounds(own: str) -> None:
    epochs = [complete(own, images, ["cat", "dog"], target=0.6).epochs for images in (5, 500, 10**6)]
    assert epochs == [recipes.recipe.MOST_EPOCHS, 2, 1]


@pytest.mark.parametrize(("share", "epochs"), [(1.0, 10), (0.6, 12), (0.25, 16)])
def test_where_late_epochs_pass_over_fewer_images_there_are_more_of_them(
    own: str, share: float, epochs: int
) -> None:
    config = complete(own, 100, ["cat", "dog"], target=0.6, hard_share=share)
    assert config.epochs == epochs
    passed = [1 - (1 - share) * epoch / (epochs - 1) for epoch in range(epochs)]
    assert sum(passed) * 100 == pytest.approx(1000, rel=0.05)


def test_an_epoch_has_four_batches_at_least_unless_their_size_was_given(own: str) -> None:
    for images, expected in ((1000, 64), (200, 50), (6, 2), (1, 1)):
        assert complete(own, images, ["cat", "dog"]).batch_size == expected
    assert complete("fast", 200, ["cat", "dog"], target=0.94).batch_size == 50  # of a level's own batches
    assert complete(own, 20, ["cat", "dog"], batch_size=32).batch_size == 32
    assert complete(own, 20, ["cat", "dog"], batch_size=64).batch_size == 64  # though it is the recipe's


@pytest.mark.parametrize(
    ("images", "given", "sizes", "epochs"),
    [
        (9_469, {}, "64,96,128", 5),
        (19_000, {}, "64,96,128", 3),
        (10**6, {}, "64,96,128", 3),
        (100, {"epochs": 2}, "96,128", 2),
        (100, {"epochs": 1}, None, 1),
        (9_469, {"image_size": 96}, "64,96", 5),
        (9_469, {"image_size": 160}, "64,96,128,160", 5),
        (9_469, {"image_size": 48}, None, 5),
        (10**6, {"sizes": "32,64,96,128"}, "32,64,96,128", 4),
        (100, {"sizes": "64,128", "epochs": 1}, "64,128", 1),  # which training refuses
    ],
)
def test_epochs_and_sizes_of_a_recipe_go_together_with_the_data_and_what_is_given(
    images: int, given: dict[str, object], sizes: str | None, epochs: int
) -> None:
    config = complete("photos-scratch", images, ["cat", "dog"], **given)
    assert (config.sizes, config.epochs) == (sizes, epochs)


def test_pixels_that_are_permuted_are_not_augmented_by_a_recipe(own: str) -> None:
    for recipe, target in ((own, 0.6), ("fast", None), ("fast", 0.94)):
        assert complete(recipe, 100, ["cat", "dog"], permute_pixels=1, target=target).augment == "none"
    with pytest.raises(UserError, match="permute-pixels"):
        complete(own, 100, ["cat", "dog"], permute_pixels=1, augment="shift")


@pytest.mark.parametrize("target", [None, 0.94])
def test_another_kind_of_optimizer_leaves_the_rates_of_the_recipe_behind(target: float | None) -> None:
    plain = TrainConfig(data="x")
    found = complete("fast", 1000, ["cat", "dog"], optimizer="adamw", target=target)
    assert (found.lr, found.bias_lr, found.momentum) == (plain.lr, None, plain.momentum)
    assert found.schedule == "linear"
    assert complete("fast", 1000, ["cat", "dog"], optimizer="adam", lr=0.01, target=target).lr == 0.01
    for optimizer in ("sgd", "muon"):  # whose rates are of one kind
        kept = complete("fast", 1000, ["cat", "dog"], optimizer=optimizer, target=target)
        assert kept.lr > plain.lr
        assert kept.bias_lr is not None


def test_a_target_beyond_the_recipe_is_said_so(own: str) -> None:
    _, remark = recipes.find(own).completed({"data": "cifar10", "recipe": own, "target": 0.99}, "cifar10")
    assert "no level for 99 %" in remark
    assert "80 % on cifar10" in remark
    _, remark = recipes.find(own).completed({"data": "x", "recipe": own, "target": 0.5}, "x")
    assert "on cifar10" in remark


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("about: a test", "abuot: a test"), "did you mean 'about'"),
        (("lr: 0.5", "lrr: 0.5"), "unknown setting 'lrr': did you mean 'lr'"),
        (("images: 1000", "imags: 1000"), "did you mean 'images'"),
        (("images: 1000", "images: 0"), "images"),
        (("usual_target: 0.7", "usual_target: 7"), "usual-target"),
        (("about: a test", "about: [a"), "not valid YAML"),
        (("about: a test", f"about: {'[' * 5000}"), "nested too deeply"),
        (("about: a test", "about: a test\nabout: more"), "'about' is given twice"),
        (("levels:", "levels:\n  - 5"), "expected images, reaches and settings in each, got 5"),
        (("cifar10: 0.8", "cifar10: 80"), "reaches is 80"),
        (("cifar10: 0.8", "cifar10: .nan"), "reaches is nan"),
        (("{model: mlp,", "{epochs: 3, model: mlp,"), "unknown setting 'epochs'"),
        (("{model: mlp,", "{model_options: 3, model: mlp,"), "model-options is 3: expected a valid dict"),
        (("lr: 0.5", "lr: hi"), "lr is 'hi'"),
        (("label_smoothing: 0.1", "label_smoothing: 7"), "label-smoothing is 7: expected a number less"),
        (("images: 1000", "images: true"), "images is True"),
        ((OWN[OWN.index("levels:") :], "levels: []"), "levels: there is none; expected one or more"),
        (("about: a test", f"about: {'x' * 1_000_000}"), "characters; at most 1000000 are read"),
    ],
)
def test_mistakes_in_a_recipe_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(UserError, match=f"the recipe {path}.*{message}"):
        recipes.find(str(path))


def test_a_recipe_that_is_no_text_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_bytes(b"about: \xff")
    with pytest.raises(UserError) as caught:
        recipes.find(str(tmp_path / "wrong.yaml"))
    assert str(caught.value) == f"cannot read the recipe {tmp_path / 'wrong.yaml'}: it is not text in UTF-8."


def test_settings_of_a_recipe_may_need_what_is_given_later(tmp_path: Path) -> None:
    (tmp_path / "warm.yaml").write_text(OWN.replace("lr: 0.5", "lr: 0.5, warmup_epochs: 30"))
    assert recipes.find(str(tmp_path / "warm.yaml")).settings["warmup_epochs"] == 30


def test_the_help_names_every_recipe() -> None:
    described = TrainConfig.model_fields["recipe"].description or ""
    assert all(name in described for name in recipes.names())


def test_unknown_recipes_and_targets_without_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'fast'"):
        recipes.find("fsat")
    with pytest.raises(UserError, match="cannot read the recipe"):
        recipes.find(str(tmp_path / "absent.yaml"))
    with pytest.raises(UserError, match="target is an option of --recipe"):
        config_file.make(TrainConfig, {"data": "x", "target": 0.9})

"""What a training's settings come to: the network, its first weights, and the strategy."""

from __future__ import annotations

from dataclasses import dataclass

from striate.backbones.description import BackboneSpec, Head
from striate.backbones.models import PRETRAINED, RANDOM, Model, find
from striate.backbones.strategies import STRATEGIES, Options
from striate.config import TransferConfig
from striate.errors import UserError, unknown_name

AUTO = "auto"


@dataclass(frozen=True)
class Choice:
    """A network, and how to train it.

    Attributes:
        model: the network.
        weights: `random`, `pretrained` or the path of a file.
        strategy: one of `STRATEGIES`.
        options: of the strategy.
        warnings: what the user should know, one sentence or two each.
    """

    model: Model
    weights: str
    strategy: str
    options: Options
    warnings: tuple[str, ...] = ()


def choose(config: TransferConfig, size: tuple[int, int] | None = None) -> Choice:
    """Return what `config` comes to, with `auto` resolved by these rules.

    - weights: pretrained for the embedded network and those of libraries, unless the strategy is scratch;
      random for all others.
    - strategy: scratch for random weights, else head.

    Args:
        config: the settings.
        size: (height, width) of the images; None: the network's own.

    Raises:
        SpecError: no such network, or one that cannot get this head.
        UserError: strategy and weights exclude each other.
    """
    model = find(config.model, config.model_options, head=head_of(config), size=size)
    strategy, weights = config.strategy, config.weights
    if weights == AUTO:
        wanted = strategy == AUTO or STRATEGIES[strategy].pretrained
        weights = PRETRAINED if model.has_pretrained and wanted else RANDOM
    if strategy == AUTO:
        strategy = "scratch" if weights == RANDOM else "head"
    _check(strategy, weights)
    warnings = _warnings(model, strategy, weights)
    if strategy == "features" and _is_on_maps(model, size):
        model = find(config.model, head=head_of(config).model_copy(update={"base": "average"}), size=size)
        warnings += (
            f"The last layer of {model.name} is a convolution on feature maps; for --strategy features the "
            "new head stands on the averaged maps, as with --head average.",
        )
    return Choice(model, weights, strategy, options_of(config), warnings)


def options_of(config: TransferConfig) -> Options:
    """Return what `config` tells the strategy."""
    return Options(
        freeze=config.freeze or Options.freeze,
        first_lr=config.first_lr,
        head_epochs=config.head_epochs,
        unfreeze_epochs=config.unfreeze_epochs,
    )


def head_of(config: TransferConfig) -> Head:
    """Return the new last layers that `config` asks for."""
    return Head(
        base=config.head,
        dropout=config.head_dropout,
        hidden=config.head_hidden,
        output=config.head_output,
    )


def _is_on_maps(model: Model, size: tuple[int, int] | None) -> bool:
    """Whether the head of a library's network, left in its place, would get feature maps, as SqueezeNet's."""
    described = model.description
    if not isinstance(described, BackboneSpec) or described.head.base != "last":
        return False
    from striate.backbones.building import is_on_maps

    own = (224, 224) if model.preprocessing is None else model.preprocessing.size
    return is_on_maps(described, (3, *(size or own)))


def _check(strategy: str, weights: str) -> None:
    if strategy not in STRATEGIES:
        raise UserError(unknown_name("strategy", strategy, STRATEGIES))
    if not STRATEGIES[strategy].pretrained and weights != RANDOM:
        raise UserError(
            f"--strategy {strategy} begins with random weights, but --weights is {weights}; choose "
            "--strategy full to train everything from there, or leave out --weights."
        )


def _warnings(model: Model, strategy: str, weights: str) -> tuple[str, ...]:
    if weights != RANDOM or not STRATEGIES[strategy].frozen:
        return ()
    remedy = "give --weights FILE or --weights pretrained" if model.has_pretrained else "give --weights FILE"
    return (
        f"--strategy {strategy} freezes layers of {model.name} that have learned nothing: their weights are "
        f"random. Choose --strategy scratch, or {remedy}.",
    )

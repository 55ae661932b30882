"""A new head that begins where a linear classifier of the network's features ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.errors import UserError
from striate.workflows import on_features

if TYPE_CHECKING:
    from striate.backbones import Choice
    from striate.config import TrainConfig
    from striate.data import ImageSets
    from striate.workflows.listener import Listener

RANDOM = "random"


def begin_with_features(
    network: Any, choice: Choice, config: TrainConfig, sets: ImageSets, listener: Listener
) -> None:
    """Give the head of `network` the weights that `--strategy features` trains, from features that are kept.

    Fine-tuning then begins at that accuracy, and its first steps do not tear the pretrained layers apart for
    a head that knows nothing (Kumar et al. 2022, linear probing before fine-tuning).

    Args:
        network: a torch module with its first weights.
        choice: the same network.
        config: its seed counts.
        sets: the training images are looked at, no others.
        listener: hears how it goes.

    Raises:
        UserError: the head is not one linear layer, or the network has learned nothing.
    """
    import torch

    if config.head_hidden is not None or config.head_output != "logits" or choice.weights == RANDOM:
        raise UserError(
            "--first-head features is for a pretrained network whose new head is one linear layer with a "
            "logit for each class; leave it out."
        )
    frozen = on_features.open_network(choice, config, sets.preprocess.input_shape, len(sets.class_names))
    fitted = on_features.fit(frozen, config, sets, listener, splits=("train",))
    for message in fitted.messages:
        listener.message(message)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in fitted.weights.items()}
    network.load_state_dict(tensors)

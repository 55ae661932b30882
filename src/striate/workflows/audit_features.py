"""Features of the embedded network for an audit: those of a training, kept in the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from striate.config import TrainConfig
from striate.workflows import on_features, transfer

HEAD = 2
"""Outputs of the head, which is not used."""

if TYPE_CHECKING:
    from striate.audit import Images
    from striate.data.sources import Source
    from striate.workflows.listener import Listener


def features_of(images: Images, source: Source, data: str, listener: Listener) -> np.ndarray:
    """Return float32 (N, F), the features of `images`, in their order.

    Args:
        images: of `source`, those that decode.
        source: where they come from.
        data: its name, for the settings.
        listener: hears how it goes.

    Raises:
        DataError: an image has changed meanwhile.
    """
    from striate.data.decoding import pixels_of
    from striate.data.inspection import inspect
    from striate.features import cached_features

    config = TrainConfig(data=data, model=transfer.EMBEDDED, strategy="features")
    choice = transfer.choose_network(config, listener)
    assert choice.model.preprocessing is not None
    preprocess = transfer.as_input(choice.model.preprocessing)
    inspection = inspect(source, listener.stage)
    row_of = {sample.path: row for row, sample in enumerate(source.samples)}
    rows = [row_of[path] for path in images.paths]
    pixels, notices = pixels_of(source, inspection, rows, preprocess, listener.stage)
    network = on_features.open_network(choice, config, preprocess.input_shape, HEAD)
    digests = inspection.digest[rows]
    found = cached_features(pixels, digests, preprocess, network.frozen, listener.stage)
    for message in dict.fromkeys((*notices, *found.messages)):
        listener.message(message)
    return found.values

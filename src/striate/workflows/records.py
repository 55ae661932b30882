"""What every training writes down, however it trains: its settings, its data, its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate import bundle, schemas
from striate.files import write_json
from striate.workflows import environment, facts, transfer

if TYPE_CHECKING:
    import numpy as np

    from striate.backbones import Choice
    from striate.config import TrainConfig
    from striate.data import ImageSets
    from striate.runs import Run


def record_start(run: Run, config: TrainConfig, choice: Choice, sets: ImageSets, source: str) -> None:
    """Write what is known before anything is trained.

    Args:
        run: the folder.
        config: the settings.
        choice: the network.
        sets: the images.
        source: where the network's first weights come from, for people.
    """
    run.write_config(config)
    schemas.write_images(run.samples_file, sets.samples)
    schemas.write_images(run.quarantine_file, sets.quarantine)
    write_json(run.environment_file, environment.describe())
    write_facts(run, choice, sets, source, {"stopped": "running"})


def write_facts(run: Run, choice: Choice, sets: ImageSets, source: str, training: Mapping[str, Any]) -> None:
    """Write `run.json`; `training` says how it went, the others are as in `record_start`."""
    numbers = choice.model.summarize(sets.preprocess.input_shape, len(sets.class_names))
    run.write_facts(
        {
            "data": {
                "name": sets.name,
                "class_names": list(sets.class_names),
                "fingerprint": sets.fingerprint,
                "messages": list(sets.messages),
                "preprocess": sets.preprocess.model_dump(mode="json"),
            },
            "network": facts.of_network(numbers) | transfer.describe(choice, sets, source),
            "training": dict(training),
        }
    )


def write_bundle(
    run: Run, choice: Choice, sets: ImageSets, source: str, weights: Mapping[str, np.ndarray]
) -> None:
    """Write the trained network; `weights` are all of it by name, the others as in `record_start`."""
    bundle.write(
        run.model,
        weights,
        name=choice.model.name,
        initial_weights=source,
        **choice.model.for_bundle(),
        class_names=sets.class_names,
        preprocess=sets.preprocess,
        data=bundle.TrainingData(name=sets.name, fingerprint=sets.fingerprint, samples=len(sets.train)),
    )

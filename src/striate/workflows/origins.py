"""Where the images of a run's splits came from, and which settings its network was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import config
from striate.errors import RunError

if TYPE_CHECKING:
    from striate.config import TrainConfig
    from striate.runs import Run

    Source = tuple[str, str | None]


def origin(run: Run, split: str) -> str:
    """Return the data that holds the images of `split`: an absolute path, or the name of a data set."""
    return images_of(run, split)[0]


def images_of(run: Run, split: str) -> Source:
    """Return the data that holds the images of `split`, and the folder of named data sets.

    Raises:
        RunError: the run does not say.
    """
    if run.config_file.is_file():
        settings = run.config()
        return config.located(settings.data), settings.data_root
    source: Any = run.sets().get(split) or run.facts()["data"].get("source")
    if not isinstance(source, dict) or not isinstance(source.get("path"), str):
        raise RunError(f"{run.folder} does not say where its {split} images are. Evaluate the model anew.")
    return config.located(source["path"]), source.get("data_root")


def settings_of(run: Run) -> TrainConfig | None:
    """Return the settings that the run's network was trained with; None where they are not known.

    Of an evaluation they lie in the run that holds the model.
    """
    trained = training_of(run)
    return trained.config() if trained is not None else None


def training_of(run: Run) -> Run | None:
    """Return the training that made the run's network: itself, or the run in which the model lies."""
    from striate.runs import Run as RunFolder

    if run.config_file.is_file():
        return run
    model = run.facts().get("model")
    if not isinstance(model, str):
        return None
    trained = RunFolder(Path(model).parent)
    return trained if trained.config_file.is_file() and trained.facts_file.is_file() else None

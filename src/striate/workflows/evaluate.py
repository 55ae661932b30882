"""A model and labelled images in; predictions, metrics, figures and a report out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import bundle, config, schemas
from striate.errors import UserError, unknown_name
from striate.files import write_json
from striate.runs import Run
from striate.workflows import environment, facts, results
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import pandas as pd

    from striate.data import LabelledImages
    from striate.inference import Classifier

    PathLike = str | os.PathLike[str]


def evaluate(
    model: PathLike,
    data: PathLike | None = None,
    *,
    out: PathLike | None = None,
    split: str | None = None,
    data_root: PathLike | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    listener: Listener | None = None,
) -> Run:
    """Evaluate a model on labelled images, or make the report of a run anew.

    Args:
        model: folder of a run or of a bundle.
        data: labelled images, as for `train`. Without it, `model` is a run: metrics, figures and report are
            computed anew from its saved predictions, without torch.
        out: folder of the evaluation; by default `runs/<data>-<model>`, with a number where that is taken.
        split: "train", "val" or "test"; by default the test split if `data` has one, else every image.
        data_root: folder in which named data sets lie.
        batch_size: images a step; by default, what fits their size.
        device: "auto", "cpu", "cuda" or "mps".
        listener: hears how it goes.

    Returns:
        The run folder that holds predictions, `metrics()` and `report`.

    Raises:
        UserError: the model, the data or the folder cannot be used.
    """
    listener = listener or Listener()
    if data is None:
        return _again(Run.open(model))
    if split is not None and split not in schemas.SPLITS:
        raise UserError(unknown_name("split", split, schemas.SPLITS))
    from striate.data import prepare_for
    from striate.inference import load

    classifier = load(Path(model), device)
    run = Run.choose(out, f"{Path(data).stem}-{classifier.record.name}")
    only = _recorded_images(Path(model), os.fspath(data), split or "test")
    found = prepare_for(
        os.fspath(data),
        classifier.preprocess,
        classifier.class_names,
        split=split,
        only=only,
        data_root=None if data_root is None else os.fspath(data_root),
        progress=listener.stage,
    )
    if only is not None:
        message = f"The model was trained on {data}; measured are the {split or 'test'} images of that run."
        found = replace(found, messages=(*found.messages, message))
    for message in found.messages:
        listener.message(message)
    with run.creating():
        _record(run, classifier, found, Path(model), split or "test")
        results.predict_splits(run, classifier, {split or "test": found.images}, listener, batch_size)
        results.write_results(run)
    return run


def _recorded_images(model: Path, data: str, split: str) -> set[str] | None:
    """Return the images of `split` in the run that made `model`, if `data` is what it was trained on.

    So a model is never measured on what it was trained on as if that were new. None: other data, or no run.
    """
    trained = Run(bundle.find(model).parent)
    if not trained.config_file.is_file() or not trained.samples_file.is_file():
        return None
    if config.located(trained.config().data) != config.located(data):
        return None
    samples = trained.samples()
    images = set(samples["path"][samples["split"] == split])
    if not images:
        raise UserError(
            f"{trained.folder} has no {split} images of {data}; name another --split, or other data."
        )
    return images


def _again(run: Run) -> Run:
    """Compute metrics, figures and report of `run` from its saved predictions."""
    if not run.splits():
        raise UserError(
            f"{run.folder} holds no predictions yet. Give DATA to evaluate on, or --resume the run."
        )
    results.write_results(run)
    return run


def _record(run: Run, classifier: Classifier, found: LabelledImages, model: Path, split: str) -> None:
    """Write what is known before the first prediction."""
    schemas.write_table(run.samples_file, _samples(found, classifier.class_names, split))
    schemas.write_table(run.quarantine_file, found.quarantine)
    write_json(run.environment_file, environment.describe())
    run.write_facts(_facts(classifier, found, model))


def _samples(found: LabelledImages, class_names: Sequence[str], split: str) -> pd.DataFrame:
    import pandas as pd

    labels = [class_names[label] for label in found.images.labels]
    table = pd.DataFrame({"path": found.images.paths, "label": labels, "split": split, "note": ""})
    return table[list(schemas.SAMPLE_COLUMNS)]


def _facts(classifier: Classifier, found: LabelledImages, model: Path) -> dict[str, Any]:
    from striate.architectures import Spec, summarize

    record = classifier.record
    spec = Spec.from_dict(record.spec)
    numbers = summarize(spec, record.preprocess.input_shape, len(record.class_names))
    return {
        "model": str(bundle.find(model).resolve()),
        "data": {
            "name": record.data.name,
            "class_names": list(record.class_names),
            "evaluated_on": found.name,
            "messages": list(found.messages),
            "preprocess": record.preprocess.model_dump(mode="json"),
        },
        "network": facts.of_network(numbers),
        "training": {},
    }

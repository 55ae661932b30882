"""A model and labelled images in; predictions, metrics, figures and a report out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from striate import bundle, config, schemas
from striate.errors import UserError, unknown_name
from striate.files import write_json
from striate.runs import Run
from striate.workflows import environment, facts, results
from striate.workflows.listener import Listener
from striate.workflows.sets import EvaluatedSet, Given, PathLike, check_sets
from striate.workflows.thresholds import choose_threshold

if TYPE_CHECKING:
    import pandas as pd

    from striate.data import LabelledImages
    from striate.inference import Classifier
    from striate.workflows.robustness import Robustness


@overload
def evaluate(
    model: PathLike,
    data: PathLike | None = ...,
    *,
    sets: Mapping[str, Given] | None = ...,
    costs: Sequence[float | str] | None = ...,
    abstain: float | None = ...,
    views: str = ...,
    out: PathLike | None = ...,
    split: str | None = ...,
    data_root: PathLike | None = ...,
    batch_size: int | None = ...,
    device: str = ...,
    engine: str = ...,
    robustness: Literal[False] = False,
    against: Sequence[PathLike] = ...,
    listener: Listener | None = ...,
) -> Run: ...
@overload
def evaluate(
    model: PathLike,
    data: PathLike | None = ...,
    *,
    out: PathLike | None = ...,
    split: str | None = ...,
    data_root: PathLike | None = ...,
    batch_size: int | None = ...,
    device: str = ...,
    engine: str = ...,
    robustness: Literal[True],
    against: Sequence[PathLike] = ...,
    listener: Listener | None = ...,
) -> Robustness: ...
def evaluate(
    model: PathLike,
    data: PathLike | None = None,
    *,
    sets: Mapping[str, Given] | None = None,
    costs: Sequence[float | str] | None = None,
    abstain: float | None = None,
    views: str = "one",
    out: PathLike | None = None,
    split: str | None = None,
    data_root: PathLike | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    engine: str = "torch",
    robustness: bool = False,
    against: Sequence[PathLike] = (),
    listener: Listener | None = None,
) -> Run | Robustness:
    """Evaluate a model on labelled images, or make the report of a run anew.

    Args:
        model: folder of a run or of a bundle.
        data: labelled images, as for `train`. Without it, `model` is a run: metrics, figures and report are
            computed anew from its saved predictions, without torch.
        sets: several such data sets in place of `data`, name -> data or (data, weight); their scores and
            their weighted total are given. Without weights all count the same.
        costs: of two classes: what a missed image of the second class costs, and what a false alarm does.
            The threshold that costs least on the validation images of the training is measured.
        abstain: probability, 0 to 1, below which `predict` would leave an image to a person: how many images
            are answered, and how many of these rightly, is measured.
        views: over which logits are averaged too, beside the plain accuracy: "flip", "shift" or "flip-shift",
            as `--test-views` of a training.
        out: folder of the evaluation; by default `runs/<data>-<model>`, with a number where that is taken.
        split: "train", "val" or "test"; by default the test split if `data` has one, else every image.
        data_root: folder in which named data sets lie.
        batch_size: images a step; by default, what fits their size.
        device: of torch: "auto", "cpu", "cuda" or "mps".
        engine: "torch"; "numpy", which never imports torch; or "cupy".
        robustness: measure accuracy against shift, scale, rotation, blur, noise, brightness and JPEG quality
            instead; without `data` on the test images of what the model was trained on.
        against: further models whose robustness is measured beside.
        listener: hears how it goes.

    Returns:
        The run folder that holds predictions, `metrics()` and `report`; with `robustness` what was measured.

    Raises:
        UserError: the model, the data or the folder cannot be used.
    """
    listener = listener or Listener()
    if robustness:
        if sets is not None or costs is not None or abstain is not None or views != "one":
            raise UserError(
                "--robustness measures one set of images; leave out --set, --costs, --abstain and --views."
            )
        from striate.workflows.robustness import measure_robustness

        return measure_robustness(
            (model, *against),
            data,
            out=out,
            split=split,
            data_root=data_root,
            batch_size=batch_size,
            device=device,
            engine=engine,
            listener=listener,
        )
    if against:
        raise UserError(
            "--against names models to measure beside in --robustness; add that, or leave it out."
        )
    if data is not None and sets is not None:
        raise UserError("DATA and --set are both given; name the data as one more --set, or leave one out.")
    _check_measures(abstain, views, data, split)
    if data is None and sets is None:
        _refuse_of_data({"--out": out, "--split": split, "--data-root": data_root})
        return _again(Run.open(model), costs, abstain, listener)
    if split is not None and split not in schemas.SPLITS:
        raise UserError(unknown_name("split", split, schemas.SPLITS))
    parts = (
        (EvaluatedSet(split or "test", os.fspath(data), 1.0),) if data is not None else check_sets(sets or {})
    )
    threshold = None
    if costs is not None:
        _refuse_seen(Path(model), parts, split)
        threshold = choose_threshold(costs, Run(bundle.find(Path(model)).parent))
    from striate.inference import load

    classifier = load(Path(model), device, engine)
    name = "-".join(sets) if sets else Path(parts[0].data).stem
    run = Run.choose(out, f"{name}-{classifier.record.name}", [part.data for part in parts])
    search = _Search(classifier, Path(model), split, data_root, listener)
    found = {part.name: search.find(part, bool(sets)) for part in parts}
    with run.creating():
        _record(run, search, found, parts, bool(sets))
        images = {name: labelled.images for name, labelled in found.items()}
        results.predict_splits(run, classifier, images, listener, batch_size)
        results.measure_views(run, classifier, images.get("test"), views, listener)
        results.write_results(run, listener, threshold)
        if abstain is not None:
            _measure_abstention(run, abstain)
    return run


def _refuse_of_data(given: Mapping[str, object]) -> None:
    """Refuse options of images where a run's own results are computed anew.

    Raises:
        UserError: one of `given` (name -> value) is not None.
    """
    unused = [name for name, value in given.items() if value is not None]
    if unused:
        raise UserError(
            "without DATA a run's metrics and report are made anew in its own folder: "
            f"leave out {', '.join(unused)}, or name the images."
        )


def _check_measures(abstain: float | None, views: str, data: PathLike | None, split: str | None) -> None:
    """Refuse what cannot be measured.

    Raises:
        UserError: so.
    """
    if abstain is not None:
        from striate.evaluation.abstention import check_threshold

        check_threshold(abstain)
        if views != "one":
            raise UserError("--abstain measures the answers without --views; leave out one of them.")
    if views != "one":
        from striate.inference.views import check_views

        check_views(views)
        if data is None or split in ("train", "val"):
            raise UserError(
                "--views are measured on test images: name them as DATA, without --set or --split."
            )


def _measure_abstention(run: Run, threshold: float) -> None:
    """Add to each entry of `metrics.json` how many images are answered from `threshold` on, and how well."""
    from striate.evaluation.labelled import labelled, scores

    metrics, total = run.metrics(), run.total()
    for split, entry in metrics.items():
        found = scores(labelled(run.calibrated(split)))
        answered = found.confidence >= threshold
        n, right = int(answered.sum()), int((answered & found.correct).sum())
        entry["abstention"] = {
            "threshold": float(threshold),
            "samples": len(answered),
            "answered": n,
            "correct": right,
            "coverage": _share(n, len(answered)),
            "accuracy": _share(right, n) if n else None,
        }
    write_json(run.metrics_file, metrics if total is None else metrics | {"total": total})


def _share(part: int, n: int) -> dict[str, float]:
    from striate.evaluation.intervals import wilson

    low, high = wilson(part, n)
    return {"value": part / n, "low": low, "high": high}


@dataclass(frozen=True)
class _Search:
    """How the images of each set are found."""

    classifier: Classifier
    model: Path
    split: str | None
    data_root: PathLike | None
    listener: Listener

    def find(self, part: EvaluatedSet, named: bool) -> LabelledImages:
        """Return the images of `part`; its messages are told, after its name if it is `named`."""
        from striate.data import prepare_for

        only = recorded_images(self.model, part.data, self.split or "test")
        found = prepare_for(
            part.data,
            self.classifier.preprocess,
            self.classifier.class_names,
            split=self.split,
            only=only,
            data_root=None if self.data_root is None else os.fspath(self.data_root),
            progress=self.listener.stage,
        )
        messages = list(found.messages)
        if only is not None:
            which = f"the {self.split or 'test'} images of that run"
            messages.append(f"The model was trained on {part.data}; measured are {which}.")
        if named:
            messages = [f"{part.name}: {message}" for message in messages]
        for message in messages:
            self.listener.message(message)
        return replace(found, messages=tuple(messages))

    def source(self, data: str) -> dict[str, Any]:
        """Return where the images of `data` are, so that they can be found again from any folder."""
        root = None if self.data_root is None else config.located(os.fspath(self.data_root))
        return {"path": config.located(os.path.expanduser(data)), "data_root": root, "split": self.split}


def _refuse_seen(model: Path, parts: Sequence[EvaluatedSet], split: str | None) -> None:
    """Refuse to measure a threshold on images that chose it, or that the network was trained on."""
    for part in parts:
        if split in ("train", "val") and recorded_images(model, part.data, split) is not None:
            raise UserError(
                f"costs cannot be measured on the {split} images of {part.data}: the training has seen them. "
                "Leave --split out."
            )


def recorded_images(model: Path, data: str, split: str) -> dict[str, str] | None:
    """Return the images of `split` with their labels in the run that made `model`, if `data` is its data.

    So a model is never measured on what it was trained on as if that were new. None: other data, or no run.
    """
    trained = Run(bundle.find(model).parent)
    if not trained.config_file.is_file() or not trained.samples_file.is_file():
        return None
    if config.located(trained.config().data) != config.located(data):
        return None
    samples = trained.samples()
    chosen = samples[samples["split"] == split]
    images = dict(zip(chosen["path"], chosen["label"], strict=True))
    if not images:
        raise UserError(
            f"{trained.folder} has no {split} images of {data}; name another --split, or other data."
        )
    return images


def _again(run: Run, costs: Sequence[float | str] | None, abstain: float | None, listener: Listener) -> Run:
    """Compute metrics, figures and report of `run` from its saved predictions."""
    if not run.splits():
        raise UserError(
            f"{run.folder} holds no predictions yet. Give DATA to evaluate on, or --resume the run."
        )
    threshold = None
    if costs is not None:
        trained = run if run.config_file.is_file() else Run(Path(run.facts().get("model", "")).parent)
        threshold = choose_threshold(costs, trained)
    results.write_results(run, listener, threshold)
    if abstain is not None:
        _measure_abstention(run, abstain)
    return run


def _record(
    run: Run,
    search: _Search,
    found: Mapping[str, LabelledImages],
    parts: Sequence[EvaluatedSet],
    named: bool,
) -> None:
    """Write what is known before the first prediction; `named`: of several sets, be it but one."""
    import pandas as pd

    class_names = search.classifier.class_names
    samples = [_samples(part, class_names, name) for name, part in found.items()]
    quarantine = [part.quarantine.assign(split=name) for name, part in found.items()]
    schemas.write_images(run.samples_file, pd.concat(samples))
    schemas.write_images(run.quarantine_file, pd.concat(quarantine))
    write_json(run.environment_file, environment.describe())
    written = _facts(search, [message for part in found.values() for message in part.messages])
    if named:
        written["sets"] = {part.name: search.source(part.data) | {"weight": part.weight} for part in parts}
    else:
        (part,) = parts
        written["data"] |= {"evaluated_on": found[part.name].name, "source": search.source(part.data)}
    run.write_facts(written)


def _samples(found: LabelledImages, class_names: Sequence[str], split: str) -> pd.DataFrame:
    import pandas as pd

    labels = [class_names[label] for label in found.images.labels]
    table = pd.DataFrame({"path": found.images.paths, "label": labels, "split": split, "note": ""})
    return table[list(schemas.SAMPLE_COLUMNS)]


def _facts(search: _Search, messages: Sequence[str]) -> dict[str, Any]:
    from striate.backbones import summarize
    from striate.backbones.models import description_of

    record = search.classifier.record
    description = description_of(record.spec, record.backbone)
    numbers = summarize(description, record.preprocess.input_shape, len(record.class_names))
    return {
        "model": str(bundle.find(search.model).resolve()),
        "data": {
            "name": record.data.name,
            "class_names": list(record.class_names),
            "messages": list(messages),
            "preprocess": record.preprocess.model_dump(mode="json"),
        },
        "network": facts.of_network(numbers),
        "training": {},
        "calibration": {"temperature": record.temperature},
    }

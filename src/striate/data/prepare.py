"""From DATA to image sets that are ready for batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.config import DataConfig
from striate.data import splits
from striate.data.classes import compare_classes, empty_classes, labels_to_numbers
from striate.data.decoding import pixels_of
from striate.data.geometry import choose_channels, choose_size, describe_cut
from striate.data.groups import group_names, spread_over
from striate.data.images import ImageSet, ImageSets, Pixels
from striate.data.inspection import Inspection
from striate.data.normalization import moments
from striate.data.parallel import Progress
from striate.data.sources import Source
from striate.data.survey import Survey, survey
from striate.errors import DataError
from striate.schemas import QUARANTINE_COLUMNS, SAMPLE_COLUMNS, SPLITS, Preprocess

if TYPE_CHECKING:
    import pandas as pd

NO_TRAINING_IMAGES = "its class has no training image"
LEFT_OUT = "left out by --fraction"


@dataclass(frozen=True)
class _Assignment:
    """The final split and note of each of N samples, which the source lists in the same order."""

    splits: list[str]
    notes: list[str]
    class_names: tuple[str, ...]
    messages: tuple[str, ...]
    groups: tuple[str, ...] | None


def prepare(
    config: DataConfig,
    *,
    found: Survey | None = None,
    network: Preprocess | None = None,
    progress: Progress | None = None,
) -> ImageSets:
    """Find, inspect, split and decode the images that `config` names.

    Args:
        config: which images, split how, at which size.
        found: what `survey` returned for the same `config`; None: it is called now.
        network: what a pretrained network was trained with: size, channels, cut, interpolation, mean and
            deviation are its own unless `config` names others.
        progress: called as `progress(stage, done, total)` while images are read.

    Raises:
        DataError: the data cannot be used for training; says why.
    """
    found = found or survey(config, progress=progress)
    source, inspection, usable = found.source, found.inspection, found.usable
    assigned = _assign(source, inspection, config)
    # Images that no split uses are decoded too: another seed or fraction then finds them in the cache.
    train_rows = [row for row in usable if assigned.splits[row] == "train"]
    preprocess, messages = _preprocess(config, inspection, usable, train_rows, network)
    pixels, notices = pixels_of(source, inspection, usable, preprocess, progress)
    sets = _image_sets(source, assigned, usable, pixels)
    fingerprint = _fingerprint(source, inspection, train_rows)
    if network is None or config.normalize != "auto":
        mean, std = moments(config, preprocess, sets["train"].pixels, fingerprint, progress)
        preprocess = preprocess.model_copy(update={"mean": mean, "std": std})
    return ImageSets(
        name=source.name,
        class_names=assigned.class_names,
        samples=_samples_table(source, assigned, usable),
        quarantine=quarantine_table(source, inspection),
        facts=facts_table(source, inspection, usable),
        preprocess=preprocess,
        train=sets["train"],
        val=sets.get("val"),
        test=sets["test"],
        messages=_merge(source.messages, inspection.messages, assigned.messages, messages, notices),
        fingerprint=fingerprint,
        groups=None if assigned.groups is None else tuple(assigned.groups[row] for row in usable),
    )


def _preprocess(
    config: DataConfig,
    inspection: Inspection,
    usable: Sequence[int],
    train_rows: Sequence[int],
    network: Preprocess | None,
) -> tuple[Preprocess, list[str | None]]:
    """Return how images become input, with mean 0 and deviation 1 unless `network` says; and messages."""
    widths, heights = inspection.width[list(usable)], inspection.height[list(usable)]
    height, width, resized = choose_size(config, widths, heights, network)
    channels, coloured = choose_channels(config, inspection.grey[list(train_rows)], network)
    own = {} if network is None else network.model_dump(exclude={"permute_pixels"})
    chosen = {"channels": channels, "height": height, "width": width, "fit": config.fit}
    plain = {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    settings = plain | own | chosen | {"permute_pixels": config.permute_pixels}
    preprocess = Preprocess.model_validate(settings)
    return preprocess, [resized, coloured, describe_cut(widths, heights, preprocess)]


def _assign(source: Source, inspection: Inspection, config: DataConfig) -> _Assignment:
    """Decide on each sample's split.

    Raises:
        DataError: fewer than two classes, a class with one image, nothing to train or test with.
    """
    plan = splits.plan(source.splits, config)
    final, notes = _given_splits(source, inspection, plan)
    pool = [row for row, split in enumerate(final) if split == splits.POOL]
    class_names = tuple(sorted({source.samples[row].label for row in pool}))
    _require_classes(class_names, source, inspection)
    labels = [source.samples[row].label for row in pool]
    groups = None if config.group_by is None else group_names(source, config.data, config.group_by)
    seed = config.seed if config.split_seed is None else config.split_seed
    if groups is None:
        paths = [source.samples[row].path for row in pool]
        carved = splits.carve(paths, labels, plan.shares, seed)
    else:
        carved = splits.carve_groups([groups[row] for row in pool], labels, plan.shares, seed)
    for row, split in zip(pool, carved, strict=True):
        final[row] = split
        notes[row] = "" if split else LEFT_OUT
    messages = empty_classes(source, inspection.reason) + _compare(source, final, class_names, plan)
    for row, split in enumerate(final):
        if split and source.samples[row].label not in class_names:
            final[row], notes[row] = "", NO_TRAINING_IMAGES
    if groups is not None:
        messages += _divided(groups, final)
    if "test" not in final:
        raise DataError("no image is left to test with: the test split has none of the trained classes.")
    if "val" not in final and (plan.shares.val > 0 or "val" in plan.roles.values()):
        messages.append("No image is left to validate with, so the last epoch is kept.")
    together = None if groups is None else tuple(groups)
    return _Assignment(final, notes, class_names, (*plan.messages, *messages), together)


def _divided(groups: Sequence[str], final: Sequence[str]) -> list[str]:
    """Return a message about groups that the data's own splits divide."""
    divided = spread_over(groups, final)
    if not divided:
        return []
    return [
        f"{len(divided)} group(s) of --group-by lie in several of the given splits, which are kept; "
        f"the first: {divided[0]!r}."
    ]


def _given_splits(source: Source, inspection: Inspection, plan: splits.Plan) -> tuple[list[str], list[str]]:
    """Return each sample's role under `plan` (`""`: none), and its note."""
    final, notes = [], []
    for sample, reason in zip(source.samples, inspection.reason, strict=True):
        final.append("" if sample.note or reason else plan.roles[sample.split])
        notes.append(sample.note)
    return final, notes


def _require_classes(class_names: Sequence[str], source: Source, inspection: Inspection) -> None:
    """Refuse a pool without at least two classes.

    Raises:
        DataError: names what there is.
    """
    if len(class_names) >= 2:
        return
    bad = sum(1 for reason in inspection.reason if reason)
    if not class_names:
        example = next((reason for reason in inspection.reason if reason), "")
        why = f": {bad} image(s) do not decode (the first: {example})" if bad else ""
        raise DataError(f"{source.name} has no image to train with{why}.{_unnamed(source)}")
    decodes = f" that decode ({bad} do not; see their reasons with `striate data`)" if bad else ""
    raise DataError(
        f"all training images of {source.name}{decodes} are of one class, {class_names[0]!r}; "
        f"a classifier needs at least two class folders with images.{_unnamed(source)}"
    )


def _unnamed(source: Source) -> str:
    """Return a sentence on files that cannot even be named; nothing where there are none."""
    if not source.quarantine:
        return ""
    path, _, _, reason = source.quarantine[0]
    return f" {len(source.quarantine)} image(s) are left out; the first, {path}: {reason}."


def _compare(
    source: Source, final: Sequence[str], class_names: Sequence[str], plan: splits.Plan
) -> list[str]:
    """Compare the classes of the held-out splits with those that are trained."""
    labels: dict[str, list[str]] = {}
    for sample, split in zip(source.samples, final, strict=True):
        if split in ("val", "test"):
            labels.setdefault(split, []).append(sample.label)
    found = {(sample.split, sample.label) for sample in source.samples}
    empty = {
        (plan.roles[split], label)
        for split, names in source.classes.items()
        for label in names
        if (split, label) not in found
    }
    return compare_classes(class_names, labels, empty)


def _image_sets(
    source: Source, assigned: _Assignment, rows: Sequence[int], pixels: Pixels
) -> dict[str, ImageSet]:
    sets = {}
    for split in SPLITS:
        places = [place for place, row in enumerate(rows) if assigned.splits[row] == split]
        if places:
            samples = [source.samples[rows[place]] for place in places]
            sets[split] = ImageSet(
                tuple(sample.path for sample in samples),
                labels_to_numbers((sample.label for sample in samples), assigned.class_names),
                pixels.select(places),
            )
    return sets


def _samples_table(source: Source, assigned: _Assignment, usable: Sequence[int]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (source.samples[row].path, source.samples[row].label, assigned.splits[row], assigned.notes[row])
        for row in usable
    ]
    return pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS), dtype=str)


def quarantine_table(source: Source, inspection: Inspection) -> pd.DataFrame:
    """Return the images of `source` that do not decode, with the reason: `schemas.QUARANTINE_COLUMNS`."""
    import pandas as pd

    rows = [
        (sample.path, sample.label, sample.split, reason)
        for sample, reason in zip(source.samples, inspection.reason, strict=True)
        if reason
    ]
    return pd.DataFrame([*rows, *source.quarantine], columns=list(QUARANTINE_COLUMNS), dtype=str)


def facts_table(source: Source, inspection: Inspection, rows: Sequence[int]) -> pd.DataFrame:
    """Return path, width, height (upright, pixels), format, mode and sha256 of the images numbered `rows`."""
    import pandas as pd

    chosen = list(rows)
    return pd.DataFrame(
        {
            "path": [source.samples[row].path for row in chosen],
            "width": inspection.width[chosen],
            "height": inspection.height[chosen],
            "format": inspection.format[chosen].astype(object),
            "mode": inspection.mode[chosen].astype(object),
            "sha256": [inspection.digest[row].tobytes().hex() for row in chosen],
        }
    )


def _fingerprint(source: Source, inspection: Inspection, rows: Sequence[int]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        sample = source.samples[row]
        for part in (sample.path, sample.label, "train"):
            digest.update(part.encode() + b"\0")
        digest.update(inspection.digest[row].tobytes())
    return digest.hexdigest()


def _merge(*messages: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(message for group in messages for message in group if message))

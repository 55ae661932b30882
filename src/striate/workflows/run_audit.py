"""What an audit says of the images of a training, for its report: short, remembered, never in the way."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files
from striate.cache import cache_folder
from striate.errors import DataError, UserError
from striate.version import __version__
from striate.workflows.audit import kept_together

if TYPE_CHECKING:
    from striate.audit import Images
    from striate.config import TrainConfig
    from striate.data import ImageSets
    from striate.data.sources import Source
    from striate.runs import Run
    from striate.workflows.listener import Listener

SECONDS = 20.0
"""An audit that takes longer is given up, unless the training took much longer itself."""
SHARE_OF_TRAINING = 0.2
FORMAT = 1
"""Of what is remembered; what another format or version of Striate found is looked for anew."""
SWITCHED_OFF = "it was switched off by --no-audit"


class _OutOfTimeError(Exception):
    """The audit took too long."""


def audit_run(
    run: Run, config: TrainConfig, sets: ImageSets, listener: Listener, seconds: float | None = None
) -> None:
    """Write `audit.json` into `run`: copies, leaks and shortcuts among the images that it used.

    What was found for the same images, labels and splits before is remembered. An audit that takes too long,
    or whose images cannot be read any more, is left out, and the file says so.

    Args:
        run: with facts, which say how long the training took.
        config: its settings.
        sets: its images.
        listener: hears how it goes.
        seconds: it may take; None: 20 s, or more after a long training.
    """
    if seconds is None:
        seconds = max(SECONDS, SHARE_OF_TRAINING * run.facts()["training"].get("seconds", 0.0))
    files.write_json(run.audit_file, find(config, sets, listener, seconds))


def find(config: TrainConfig, sets: ImageSets, listener: Listener, seconds: float) -> dict[str, Any]:
    """Return what `audit.json` holds, remembered or found now; see `audit_run`."""
    if not config.audit:
        return {"skipped": SWITCHED_OFF}
    remembered = cache_folder() / "audits" / f"{_key(sets)[:40]}.json"
    if (known := _read(remembered)) is not None:
        return known
    try:
        found = _audit(config, sets, _until(time.monotonic() + seconds, listener))
    except _OutOfTimeError:
        return {"skipped": f"it would have taken longer than {seconds:.0f} s"}
    except DataError as error:
        return {"skipped": str(error).rstrip(".")}
    _keep(remembered, found)
    return found


def _audit(config: TrainConfig, sets: ImageSets, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Return the findings as `audit.json` of a run holds them."""
    from striate import audit
    from striate.data.lookup import find_source

    images = audit.read(_used(find_source(config.data, config.data_root), sets), progress)
    groups = audit.find_duplicates(images, progress)
    shortcuts = audit.find_shortcuts(
        images, _groups(images, groups, sets), seed=config.seed, shuffles=0, progress=progress
    )
    findings = audit.Findings(images, groups, shortcuts)
    return findings.facts() | {"remarks": findings.remarks(), "leaks": findings.leaks()}


def _used(source: Source, sets: ImageSets) -> Source:
    """Return the images of `source` that are in a split, with the class and split that the run gave them."""
    given = {path: (label, split) for path, label, split in _rows(sets) if split}
    rows = [row for row, sample in enumerate(source.samples) if sample.path in given]
    samples = []
    for row in rows:
        label, split = given[source.samples[row].path]
        samples.append(replace(source.samples[row], label=label, split=split, note=""))
    array = None if source.array is None else source.array[rows]
    return replace(source, samples=tuple(samples), array=array)


def _groups(images: Images, groups: Any, sets: ImageSets) -> list[str]:
    own = None if sets.groups is None else dict(zip(sets.samples["path"], sets.groups, strict=True))
    return kept_together(images, groups, own)


def _rows(sets: ImageSets) -> list[tuple[str, str, str]]:
    columns = (sets.samples[name] for name in ("path", "label", "split"))
    return list(zip(*columns, strict=True))


def _until(end: float, listener: Listener) -> Callable[[str, int, int], None]:
    """Return what tells `listener` of the progress, and gives up after `end`."""

    def progress(stage: str, done: int, total: int) -> None:
        listener.stage(f"auditing the data: {stage}", done, total)
        if time.monotonic() > end and done < total:
            listener.stage(f"auditing the data: {stage}", total, total)
            raise _OutOfTimeError

    return progress


def _key(sets: ImageSets) -> str:
    """Return a digest of everything the findings depend on."""
    digest = hashlib.sha256(f"{FORMAT} {__version__} {sets.groups}".encode("utf-8", "surrogatepass"))
    for row, content in zip(_rows(sets), sets.facts["sha256"], strict=True):
        digest.update("\0".join((*row, content)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """Return what is remembered; None where there is nothing, or it is torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, Mapping) and "duplicates" in found else None  # type: ignore[return-value]


def _keep(path: Path, found: Mapping[str, Any]) -> None:
    """Remember; where it cannot be written, the next training audits again."""
    try:
        files.make_folder(path.parent)
        files.write_json(path, dict(found))
    except UserError:
        return

"""Can the data be trusted: copies, leaks between splits, shortcuts, doubtful labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files, schemas
from striate.report_file import ReportFile
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import numpy as np

    from striate.audit import Findings, Group, Images, LabelDoubt

    PathLike = str | os.PathLike[str]

PAGE = "audit.html"


@dataclass(frozen=True)
class Audit:
    """What an audit found, and where it lies.

    Attributes:
        findings: copies, shortcuts and, with features, doubtful labels and outliers.
        folder: holds the page, `audit.json` and the tables.
        page: one HTML file, on which images are marked; in a notebook it shows itself.
        tables: the CSV files written.
    """

    findings: Findings
    folder: Path
    page: ReportFile
    tables: tuple[Path, ...]


def audit_data(
    data: PathLike,
    *,
    out: PathLike | None = None,
    data_root: str | None = None,
    classes: Sequence[str] | None = None,
    group_by: str | None = None,
    seed: int = 0,
    features: np.ndarray | bool = False,
    listener: Listener | None = None,
) -> Audit:
    """Look for what makes a data set dishonest; the verb is `striate data audit`.

    Args:
        data: folder, .zip, .csv, or the name of a data set.
        out: folder to write; by default `runs/<data>-audit`. What an earlier audit wrote there is replaced.
        data_root: folder in which named data sets lie.
        classes: only these.
        group_by: column of the CSV file, or pattern on paths: images that share it never lie in two folds.
        seed: of folds and draws.
        features: float (N, D), a row for each image that decodes, in the order of their paths, or True for
            those of the network that comes with Striate; with them, likely label errors, outliers and
            near-duplicates in features are looked for too.
        listener: hears how it goes.

    Raises:
        UserError: the data or the folder cannot be used.
        ValueError: the features do not fit the images.
    """
    from striate import audit
    from striate.data.classes import choose_classes
    from striate.data.groups import group_names
    from striate.data.lookup import find_source

    listener = listener or Listener()
    if out is not None:
        files.check_apart(Path(out), data)
    source = choose_classes(find_source(os.fspath(data), data_root), classes)
    for message in source.messages:
        listener.message(message)
    images = audit.read(source, listener.stage)
    given = None if isinstance(features, bool) else features
    if features is True:
        from striate.workflows.audit_features import features_of

        given = features_of(images, source, os.fspath(data), listener)
    groups = audit.find_duplicates(images, listener.stage)
    named = None if group_by is None else group_names(source, os.fspath(data), group_by)
    own = None if named is None else dict(zip((item.path for item in source.samples), named, strict=True))
    together = kept_together(images, groups, own)
    found = audit.find_shortcuts(images, together, seed=seed, progress=listener.stage)
    findings = audit.Findings(images, groups, found, **_by_features(given, images, together, seed, listener))
    folder = Path(out) if out is not None else Path("runs") / f"{images.name}-audit"
    return _write(folder, findings)


def kept_together(images: Images, groups: Sequence[Group], own: Mapping[str, str] | None) -> list[str]:
    """Return a name for each image, shared with its copies and with what `own` (by path) puts with it."""
    names = [path if own is None else own[path] for path in images.paths]
    joined: dict[str, str] = {}

    def root(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    for group in groups:
        first, *others = dict.fromkeys(root(names[number]) for number in group.members)
        for other in others:
            joined[other] = first
    return [root(name) for name in names]


def _by_features(
    features: np.ndarray | None, images: Images, together: Sequence[str], seed: int, listener: Listener
) -> dict[str, Any]:
    """Return what only features tell; nothing without them."""
    from striate import audit

    if features is None:
        return {}
    audit.check_features(features, len(images))
    listener.stage("looking at features", 0, 1)
    doubts = _doubts(features, images, together, seed, listener)
    near = audit.near_in_features(features)
    listener.stage("looking at features", 1, 1)
    return {
        "doubts": doubts,
        "outliers": audit.outliers(features),
        "near": tuple((a, b) for a, b in near.tolist() if together[a] != together[b]),
    }


def _doubts(
    features: np.ndarray, images: Images, together: Sequence[str], seed: int, listener: Listener
) -> tuple[LabelDoubt, ...] | None:
    """Return the doubtful labels of the classes with images enough; None where these are not two."""
    from striate import audit
    from striate.data.classes import name_classes

    counts = Counter(images.labels)
    small = sorted(label for label, count in counts.items() if count < audit.FOLDS)
    if len(counts) - len(small) < 2:
        listener.message(
            f"Doubtful labels are looked for in at least two classes of at least {audit.FOLDS} images each."
        )
        return None
    if small:
        listener.message(
            f"Doubtful labels are not looked for in {name_classes(small)}: fewer than {audit.FOLDS} images."
        )
    rows = [row for row, label in enumerate(images.labels) if counts[label] >= audit.FOLDS]
    labels, groups = ([names[row] for row in rows] for names in (images.labels, together))
    found = audit.doubtful_labels(features[rows], labels, groups, seed=seed)
    return tuple(replace(doubt, number=rows[doubt.number]) for doubt in found)


def _write(folder: Path, findings: Findings) -> Audit:
    from striate import audit

    files.make_folder(folder)
    tables = findings.tables()
    for name, table in tables.items():
        schemas.write_table(folder / name, table)
    files.write_json(folder / "audit.json", findings.facts())
    page = ReportFile(folder / PAGE)
    files.write_text(Path(page), audit.render(findings))
    return Audit(findings, folder, page, tuple(folder / name for name in tables))

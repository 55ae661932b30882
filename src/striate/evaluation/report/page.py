"""The report's page, put together from its parts; `templates/report.html.j2` is its form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from striate.evaluation import gallery, wording
from striate.evaluation.context import ReportContext
from striate.evaluation.history import numbers
from striate.evaluation.metrics import confusion_matrix
from striate.evaluation.report import (
    certainty,
    charts,
    classes,
    confusion,
    honesty,
    images,
    ladder,
    opening,
    scores,
    thresholds,
)
from striate.evaluation.report.listing import plain
from striate.offline_page import policy, printable, script_json
from striate.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

TOP_REMARKS = 3
"""So many remarks stand on the first screen; the others follow below."""
SCRIPTS = ("report.js", "confusion.js", "classes.js", "thresholds.js", "start.js")


def render_report(context: ReportContext) -> str:
    """Return the report as HTML text.

    Raises:
        ValueError: `context.metrics` is empty.
        DataError: the history lacks columns.
    """
    if not context.metrics:
        raise ValueError("context.metrics is empty; expected the metrics of at least one split")
    style, script = template("report.css"), "\n".join(template(name) for name in SCRIPTS)
    if context.inside is not None:
        style, script = f"{style}\n{context.inside.style}", f"{script}\n{context.inside.script}"
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            _first_screen(context)
            | _sections(context)
            | {
                "context": context,
                "version": __version__,
                "style": style,
                "script": script,
                "policy": policy(style, script),
            }
        )
    )


def _first_screen(context: ReportContext) -> dict[str, Any]:
    split, entry = context.split, context.metrics[context.split]
    remarks = context.remarks
    accuracy = entry["accuracy"] if context.total is None else context.total
    samples = sum(part["samples"] for part in context.total["parts"]) if context.total else entry["samples"]
    return {
        "sentence": opening.sentence(accuracy, samples, split == "train" and not context.evaluated_on),
        "headline": wording.headline(split, entry, context.evaluated_on),
        "squares": opening.squares(accuracy),
        "split": split,
        "kind": wording.image_kind("" if context.evaluated_on else split),
        "entry": entry,
        "facts": opening.facts(context, entry, _history(context)),
        "remarks": remarks[:TOP_REMARKS],
        "further_remarks": remarks[TOP_REMARKS:],
    }


def _sections(context: ReportContext) -> dict[str, Any]:
    entry, history = context.metrics[context.split], _history(context)
    names = [row["name"] for row in entry["per_class"]]
    explorer = thresholds.explorer(context.metrics, context.split, bool(context.evaluated_on))
    shown = confusion.of_entry(entry)
    curves = []
    if history is not None:
        curves = charts.learning_curves(history, opening.kept_epoch(context, history), context.goal)
    return {
        "scores": scores.table(context),
        "ladder": ladder.section(context.ladder),
        "curves": curves,
        "confusion": shown,
        "pairs": classes.pairs(entry),
        "mistakes": confusion.in_words(entry),
        "classes": classes.table(entry, context.counts, context.split),
        "numbered": len(names) > confusion.GRID_CLASSES,
        "worst": images.cards(context.gallery, "worst"),
        "uncertain": images.cards(context.gallery, "uncertain"),
        "cards": images.CARDS,
        "samples": images.samples(context.gallery),
        "missing": "" if context.gallery is None else gallery.missing_note(context.gallery),
        "reliability": certainty.reliability(entry),
        "certainty": certainty.in_words(entry),
        "calibrated_how": certainty.calibrated_how(context.split, entry, context.calibration),
        "answers": certainty.answers(entry),
        "abstention": certainty.abstention(entry),
        "ranking": charts.ranking(context.curves, entry),
        "explorer": explorer,
        "honesty": honesty.of_context(context),
        "balance": classes.balance(context.counts, names),
        "settings": plain(context.config),
        "augmented": _is_augmented(context.config),
        "hard_share": context.config.get("hard_share", 1.0),
        "environment": plain(_computed(context) | dict(context.environment)),
        "image_data": None if context.gallery is None else script_json(context.gallery),
        "page_data": script_json(_page_data(context, names, shown, explorer)),
    }


def _page_data(
    context: ReportContext,
    names: Sequence[str],
    shown: confusion.Confusion,
    explorer: thresholds.Explorer | None,
) -> dict[str, Any]:
    """What the page's own script reads; images stand apart."""
    data: dict[str, Any] = {
        "classes": names,
        "samples": [row["samples"] for row in context.metrics[context.split]["per_class"]],
        "table": f"predictions-{context.split}.csv",
    }
    if shown.grid is None:
        data["order"] = list(shown.order)
        counts = confusion_matrix(context.metrics[context.split])
        true, predicted = counts.nonzero()
        if context.gallery is None or len(context.gallery["cells"]) < len(true):  # else they stand there
            data["cells"] = [true.tolist(), predicted.tolist(), counts[true, predicted].tolist()]
    if explorer is not None:
        data["points"] = explorer.points
    return data


def _is_augmented(config: Mapping[str, Any]) -> bool:
    """Whether training images were changed before the network saw them."""
    changes = (config.get("augment", "none"), config.get("mixup", 0), config.get("cutmix", 0))
    return any(change not in ("none", None, 0) for change in changes)


def _computed(context: ReportContext) -> dict[str, Any]:
    """What the training ran on, with precision and memory layout."""
    device = context.training.get("device")
    return {"trained on": device} if device else {}


def _history(context: ReportContext) -> Any:
    return None if context.history is None or context.history.empty else numbers(context.history)


def environment() -> Environment:
    """Return what renders the templates: everything escaped, and a name that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("striate.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=printable,
    )
    environment.filters.update(
        percent=wording.percent,
        number=wording.number,
        interval=_interval,
        span=scores.span,
        written=scores.written,
        split_name=scores.split_name,
        probability=_probability,
        count="{:,}".format,
    )
    return environment


def _interval(share: Mapping[str, float]) -> str:
    return f"{wording.percent(share['low'])} to {wording.percent(share['high'])}"


def _probability(share: float) -> str:
    """A probability in percent; stored with four decimals, so its ends are not told apart from 0 and 1."""
    if share > 0.9995:
        return ">99.9\u00a0%"
    if share < 0.0005:
        return "<0.1\u00a0%"
    return f"{math.floor(1000 * share + 0.5 + 1e-9) / 10:.1f}\u00a0%"  # halves upwards, as the script does


def template(name: str) -> str:
    """Return the text of a file in `templates/`."""
    folder = resources.files("striate.evaluation") / "templates"
    return (folder / name).read_text(encoding="utf-8").strip()

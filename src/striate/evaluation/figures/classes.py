"""Figures with a row a class: how well it is found, and how many images it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from striate.evaluation.figures import style

SHOWN_CLASSES = 40
"""With more classes, only those with the lowest recall or the curve of sizes is drawn."""
_SPLIT_LABELS = {"train": "training", "val": "validation", "test": "test"}


def per_class_recall(entry: Mapping[str, Any]) -> Figure:
    """Draw the recall of each class, the worst on top, with its Wilson interval and number of images.

    Args:
        entry: one split of `metrics.json`. Classes without images are left out; of more than 40
            the 40 with the lowest recall are drawn.
    """
    rows = [row for row in entry["per_class"] if row["samples"]]
    shown = sorted(rows, key=lambda row: float(row["recall"]["value"]))[:SHOWN_CLASSES]
    with style.drawing():
        figure = style.new_figure(6.4, 0.9 + 0.24 * len(shown))
        axes = figure.subplots()
        _whiskers(axes, shown)
        _class_rows(axes, [f"{name}  ({row['samples']})" for name, row in _named(shown)])
        axes.axvline(
            entry["accuracy"]["value"], color=style.QUIET, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0
        )
        axes.set_title(_recall_title(len(shown), len(rows)))
        axes.set_xlabel(
            f"share named correctly, with {100 * entry['level']:.0f} % interval; dashed: all classes together"
        )
        left = np.floor(10 * min((row["recall"]["low"] for row in shown), default=0)) / 10
        axes.set_xlim(left - 0.02 * (1 - left), 1 + 0.02 * (1 - left))
        style.percent_axis(axes.xaxis)
        style.quiet_grid(axes, "x")
        return style.literal(figure)


def class_balance(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Draw the number of images of each class, divided by split.

    Args:
        counts: split -> number of images of each class, (K,).
        class_names: (K,).
    """
    with style.drawing():
        many = len(class_names) > SHOWN_CLASSES
        return style.literal(_size_curve(counts) if many else _size_bars(counts, class_names))


def _named(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(zip(style.shorten_all([row["name"] for row in rows]), rows, strict=True))


def _recall_title(shown: int, classes: int) -> str:
    if shown < classes:
        return f"Recall: the {shown} lowest of {classes} classes (images)"
    return "Recall of each class (images)"


def _whiskers(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    values = np.array([row["recall"]["value"] for row in rows])
    low = np.array([row["recall"]["low"] for row in rows])
    high = np.array([row["recall"]["high"] for row in rows])
    spans = np.maximum(0, np.stack([values - low, high - values]))
    axes.errorbar(
        values,
        np.arange(len(rows)),
        xerr=spans,
        fmt="o",
        color=style.BLUE,
        ecolor=style.BLUE,
        elinewidth=1.4,
        capsize=2.5,
        markersize=4.5,
    )


def _class_rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _size_bars(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> Figure:
    figure = style.new_figure(6.4, 1.1 + 0.24 * len(class_names))
    axes = figure.subplots()
    rows, left = np.arange(len(class_names)), np.zeros(len(class_names))
    for split, values in counts.items():
        colour = style.SPLIT_COLOURS.get(split, style.PURPLE)
        label = f"{_SPLIT_LABELS.get(split, split)} ({sum(values):,})"
        axes.barh(
            rows, values, left=left, height=0.7, color=colour, edgecolor="white", linewidth=0.6, label=label
        )
        left += np.asarray(values)
    for row, total in zip(rows, left, strict=True):
        axes.annotate(
            f"{total:,.0f}", (total, row), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    _class_rows(axes, style.shorten_all(class_names))
    axes.set_xlabel("images")
    axes.set_xlim(0, max(1, left.max()) * 1.1)
    figure.legend(loc="outside upper left", ncols=max(1, len(counts)))
    return figure


def _size_curve(counts: Mapping[str, Sequence[int]]) -> Figure:
    figure = style.new_figure(6.4, 2.8)
    axes = figure.subplots()
    order = np.argsort(-np.sum([np.asarray(values) for values in counts.values()], axis=0), kind="stable")
    for split, values in counts.items():
        colour = style.SPLIT_COLOURS.get(split, style.PURPLE)
        label = f"{_SPLIT_LABELS.get(split, split)} ({sum(values):,})"
        axes.step(
            np.arange(1, len(order) + 1), np.asarray(values)[order], where="mid", color=colour, label=label
        )
    axes.set_xlabel(f"{len(order)} classes, the largest first")
    axes.set_ylabel("images")
    axes.set_ylim(bottom=0)
    style.quiet_grid(axes, "y")
    axes.legend()
    return figure

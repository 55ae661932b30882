"""A race between all ways to compute the same convolution: time, memory, accuracy."""

from __future__ import annotations

import importlib.util
import os
import statistics
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import files, schemas
from striate.errors import UserError, unknown_name
from striate.workflows import environment
from striate.workflows.listener import Listener

if TYPE_CHECKING:
    import pandas as pd

    from striate.engine.algorithms import Geometry
    from striate.workflows.racing import Contender

    PathLike = str | os.PathLike[str]
    Pair = int | str | Sequence[int]

COLUMNS = (
    "algorithm",
    "forward_seconds",  # medians over the turns
    "backward_seconds",
    "forward_gflops",  # from the multiply-adds of the definition, whatever the algorithm does
    "backward_gflops",
    "peak_bytes",  # by which one forward and backward raise the resident set of a fresh process
    "difference",  # the largest of the next four
    "difference_output",  # from the reference, relative to its largest value
    "difference_grad_x",
    "difference_grad_weight",
    "difference_grad_bias",
    "turns",
    "auto",  # 1 for the algorithm that `auto` chooses
    "note",
)
"""Of the table; empty where nothing was measured."""


@dataclass(frozen=True)
class ConvolutionRace:
    """What a race came to.

    Attributes:
        table: a row for each contender, the fastest first; `COLUMNS`.
        refused: algorithms that do not serve the shape, each with the reason.
        multiply_adds: of the forward convolution by its definition; the backward takes twice as many.
        convolution: its shapes in words.
        conditions: threads, turns, kernels, processor and libraries in words.
        reference: in words.
        figures: the charts written.
        folder: where they lie, with `conv.csv` and `environment.json`; None: nothing was written.
    """

    table: pd.DataFrame
    refused: dict[str, str]
    multiply_adds: int
    convolution: str
    conditions: str
    reference: str
    figures: tuple[Path, ...] = ()
    folder: Path | None = None


def bench_conv(
    shape: str | Sequence[int],
    *,
    out_channels: int,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    dtype: str = "float32",
    algorithms: Sequence[str] | None = None,
    torch: bool = True,
    runs: int = 5,
    limit: float = 20.0,
    threads: int | None = None,
    out: PathLike | None = None,
    listener: Listener | None = None,
) -> ConvolutionRace:
    """Race the engine's algorithms and torch over one convolution; the verb is `striate bench conv`.

    Each contender has a process of its own. They take turns, so that what else the machine does meets all.

    Args:
        shape: of the images, (N, C, H, W) or "256,3,32,32".
        out_channels: O.
        kernel: one number, or height and width.
        stride: likewise.
        padding: likewise, or "same" or "valid".
        dilation: likewise.
        groups: of channels.
        dtype: "float32" or "float64".
        algorithms: names; by default all that serve the shape.
        torch: race torch too, in both of its layouts, where it is installed.
        runs: turns of each.
        limit: seconds that each may compute in all.
        threads: of each; by default all cores.
        out: folder to write `conv.csv`, `conv.png`, `conv.svg` and `environment.json` to.
        listener: hears how it goes.

    Raises:
        UserError: no such convolution or algorithm, or too large for the memory.
    """
    from striate.engine import parallel, race
    from striate.workflows import contender, racing

    listener = listener or Listener()
    threads = parallel.available_cores() if threads is None else threads
    geometry = _geometry(shape, out_channels, kernel, stride, padding, dilation, groups)
    _check(dtype=dtype, runs=runs, limit=limit, threads=threads)
    names, refused = _serving(geometry, algorithms)
    if torch and importlib.util.find_spec("torch") is not None:
        names += [contender.TORCH, contender.TORCH_LAST]
    described = environment.describe()
    _check_memory(geometry, dtype, len(names), described["memory_bytes"])
    if out is not None:
        files.make_folder(Path(out))  # told now, not when all have run
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as scratch:
        contender.save_task(Path(scratch), geometry, dtype, threads)
        contenders = racing.run(
            names,
            Path(scratch),
            runs=runs,
            threads=threads,
            limit=limit,
            told=lambda done, total: listener.stage("racing", done, total),
        )
    blas = next((one.blas for one in contenders if one.blas), "unknown")
    result = ConvolutionRace(
        table=_table(contenders, geometry),
        refused=refused,
        multiply_adds=geometry.multiply_adds,
        convolution=_in_words(geometry, dtype),
        conditions=f"{threads} thread{'s' * (threads > 1)}, medians of {runs} turns, BLAS {blas}; "
        f"{described['processor']}, NumPy {described['libraries']['numpy']}",
        reference=f"{race.reference_name(geometry)} in float64",
    )
    return result if out is None else _write(result, Path(out), described | {"blas": blas})


def _geometry(shape: Any, out_channels: int, *arguments: Any) -> Geometry:
    """Return the checked shapes; what does not fit is the user's error."""
    import numpy as np

    from striate.engine.functional import conv2d_geometry

    kernel, stride, padding, dilation, groups = arguments
    N, C, H, W = _numbers("shape", shape, (4,), "four numbers, as in 256,3,32,32", 1)
    kernel_height, kernel_width = _pair("kernel", kernel, 1)
    for name, value in (("out-channels", out_channels), ("groups", groups)):
        if value < 1:
            raise UserError(f"{name} is {value}: expected at least 1.")
    sides = padding if padding in ("same", "valid") else _pair("padding", padding, 0)
    try:
        x = np.broadcast_to(np.float32(0), (N, C, H, W))
        weight = np.broadcast_to(np.float32(0), (out_channels, C // groups, kernel_height, kernel_width))
        return conv2d_geometry(
            x, weight, None, _pair("stride", stride, 1), sides, _pair("dilation", dilation, 1), groups
        )
    except ValueError as error:
        raise UserError(f"there is no such convolution: {error}.") from error


def _pair(name: str, value: Any, minimum: int) -> tuple[int, int]:
    numbers = _numbers(name, value, (1, 2), "one number, or height,width", minimum)
    return numbers[0], numbers[-1]


def _numbers(name: str, value: Any, lengths: tuple[int, ...], expected: str, minimum: int) -> list[int]:
    """Return the whole numbers in `value`: a number, several, or text with commas."""
    parts = value.replace("x", ",").split(",") if isinstance(value, str) else value
    try:
        numbers = [int(part) for part in ([parts] if isinstance(parts, int) else parts)]
    except (TypeError, ValueError):
        raise UserError(f"{name} is {value!r}: expected {expected}.") from None
    if len(numbers) not in lengths:
        raise UserError(f"{name} is {value!r}: expected {expected}.")
    if min(numbers) < minimum:
        raise UserError(f"{name} is {value!r}: expected numbers of at least {minimum}.")
    return numbers


def _check(*, dtype: str, runs: int, limit: float, threads: int) -> None:
    if dtype not in ("float32", "float64"):
        raise UserError(f"dtype is {dtype!r}: expected float32 or float64.")
    for name, value in (("runs", runs), ("threads", threads)):
        if value < 1:
            raise UserError(f"{name} is {value}: expected at least 1.")
    if not 0 < limit <= threading.TIMEOUT_MAX:
        raise UserError(f"limit is {limit:g}: expected seconds above 0, and a finite number of them.")


def _serving(geometry: Geometry, wanted: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """Return the algorithms that serve `geometry`, and why the others do not."""
    from striate.engine.algorithms import ALGORITHMS
    from striate.engine.algorithms.choice import automatic

    for name in wanted or ():
        if name not in (*ALGORITHMS, "auto"):
            raise UserError(unknown_name("algorithm", name, [*ALGORITHMS, "auto"]))
    chosen = [automatic(geometry) if name == "auto" else name for name in wanted or ALGORITHMS]
    reasons = {name: ALGORITHMS[name].refusal(geometry) for name in dict.fromkeys(chosen)}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    serving = [name for name in reasons if name not in refused]
    if not serving:
        text = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise UserError(f"no algorithm to race: {text}. Name others, or leave --algorithms out for all.")
    return serving, refused


def _check_memory(geometry: Geometry, dtype: str, contenders: int, memory_bytes: int | None) -> None:
    """Refuse what the inputs of all contenders, and twice as much for the one that computes, do not fit."""
    from math import prod

    numbers = sum(map(prod, (geometry.in_shape, geometry.out_shape, geometry.weight_shape)))
    needed = numbers * (4 if dtype == "float32" else 8) * (contenders + 4)
    if memory_bytes is not None and needed > memory_bytes:
        raise UserError(
            f"shape: such a race of {contenders} needs at least {needed / 2**30:,.0f} GiB, and there are "
            f"{memory_bytes / 2**30:,.0f} GiB. Take fewer images, or name fewer algorithms."
        )


def _table(contenders: Sequence[Contender], geometry: Geometry) -> pd.DataFrame:
    """Return COLUMNS, the fastest first, those without a time last."""
    import pandas as pd

    from striate.engine.algorithms.choice import automatic

    rows = [_row(one, geometry) | {"auto": int(one.name == automatic(geometry))} for one in contenders]
    rows.sort(
        key=lambda row: row["forward_seconds"] + row["backward_seconds"] if row["turns"] else float("inf")
    )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"peak_bytes": "Int64"})


def _row(contender: Contender, geometry: Geometry) -> dict[str, Any]:
    row: dict[str, Any] = {"algorithm": contender.name, "turns": len(contender.turns)}
    if contender.first:
        found = contender.first["differences"]
        row |= {"peak_bytes": contender.first["peak_bytes"], "difference": max(found.values())}
        row |= {f"difference_{name}": value for name, value in found.items()}
    if contender.turns:
        forward, backward = (statistics.median(times) for times in zip(*contender.turns, strict=True))
        work = 2e-9 * geometry.multiply_adds  # a multiplication and an addition each
        row |= {"forward_seconds": forward, "backward_seconds": backward}
        row |= {"forward_gflops": work / forward, "backward_gflops": 2 * work / backward}
    return row | {"note": contender.problem or ""}


def _in_words(geometry: Geometry, dtype: str) -> str:
    """Return the convolution as a line: what is not usual is named."""
    N, C, H, W = geometry.in_shape
    parts = [f"{N} images of {C}x{H}x{W}, {geometry.out_channels} kernels of {_by(geometry.kernel)}"]
    (top, bottom), (left, right) = geometry.padding
    even = top == bottom and left == right
    sides = _by((top, left)) if even else f"{top},{bottom} above and below, {left},{right} left and right"
    parts += [f"padding {sides}"] * any((top, bottom, left, right))
    parts += [f"stride {_by(geometry.stride)}"] * (geometry.stride != (1, 1))
    parts += [f"dilation {_by(geometry.dilation)}"] * (geometry.dilation != (1, 1))
    parts += [f"{geometry.groups} groups"] * (geometry.groups > 1)
    return ", ".join([*parts, dtype])


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def _write(result: ConvolutionRace, folder: Path, described: dict[str, Any]) -> ConvolutionRace:
    """Write the table, the chart and the environment."""
    from dataclasses import replace

    from striate.evaluation import figures

    files.make_folder(folder)
    figure = figures.convolution_race(result.table, result.convolution)
    paths = tuple(folder / f"conv{ending}" for ending in (".png", ".svg"))
    for path in paths:
        figures.save(figure, path)
    schemas.write_table(folder / "conv.csv", result.table)
    files.write_json(folder / "environment.json", described | {"conditions": result.conditions})
    return replace(result, figures=paths, folder=folder)

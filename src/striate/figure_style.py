"""How every figure looks, and how it is written: colours, fonts, PNG and SVG. Imports matplotlib.

Figures are made with matplotlib's objects alone: no pyplot, no change of its global settings. `drawing`
holds ours while a figure is made, `png`, `svg` and `save` while it is written.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from striate import files

# Okabe and Ito, Color Universal Design (2008): told apart with every common kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, QUIET, FAINT = "#222222", "#666666", "#dddddd"
SPLIT_COLOURS = {"train": BLUE, "val": VERMILION, "test": GREEN}
SEQUENTIAL = "Blues"
"""Colour map of shares: light for 0, one hue growing darker, so that it survives grey print."""
PNG_DPI = 200
PNG_LEVEL = 4
"""Of compression: a file is a hundredth larger than at the usual 6, and takes half the time."""

_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Arial Unicode MS",
    "Noto Sans",
)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Hold our settings while a figure is made or written, and leave matplotlib's as they were."""
    settings: Any = {
        "font.family": _installed_fonts()[:1],  # each further font costs time for every text: see `literal`
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": False,
        "grid.color": FAINT,
        "grid.linewidth": 0.6,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": True,  # a line behind the legend is dimmed, not its text
        "legend.edgecolor": "none",
        "legend.framealpha": 0.85,
        "legend.fancybox": False,
        "text.color": INK,
        "text.parse_math": False,
        "text.usetex": False,
        "svg.fonttype": "none",  # text stays text: it can be searched, and the reader's fonts draw it
        "svg.hashsalt": "striate",  # the same figure gives the same file
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches that arranges its parts by itself."""
    return Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure, dpi: int = PNG_DPI) -> bytes:
    """Return `figure` as a PNG file."""
    buffer = io.BytesIO()
    with drawing():
        _arrange(figure)
        before, canvas = figure.get_dpi(), FigureCanvasAgg(figure)
        figure.set_dpi(dpi)
        try:
            canvas.print_png(  # type: ignore[no-untyped-call]
                buffer, metadata={"Software": None}, pil_kwargs={"compress_level": PNG_LEVEL}
            )
        finally:
            figure.set_dpi(before)
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """Return `figure` as an SVG file whose text is text; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with drawing():
        _arrange(figure)
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`, a `.png` or `.svg` file, atomically.

    Raises:
        ValueError: another ending.
        UserError: the file cannot be written.
    """
    writers = {".png": png, ".svg": svg}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"path is {path}; expected a name that ends in .png or .svg")
    files.write_bytes(path, writer(figure))


def literal(figure: Figure) -> Figure:
    """Show every text of `figure` as it stands: a `$` in a class name is a dollar sign, 锈 is 锈."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        if not _characters().issuperset(text.get_text()):
            text.set_fontfamily(_installed_fonts())
    return figure


def percent_axis(axis: Any) -> None:
    """Label an axis of fractions in percent."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")


def quiet_grid(axes: Axes, which: str) -> None:
    """Draw faint grid lines across the axis `which` ("x", "y" or "both")."""
    axes.grid(visible=True, axis=which)  # type: ignore[arg-type]


def _arrange(figure: Figure) -> None:
    """Place the parts of `figure`, once: a PNG and an SVG of it are arranged alike, in half the time."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


@functools.cache
def _characters() -> frozenset[str]:
    """What the first font can draw, and the line break."""
    font = font_manager.get_font(font_manager.findfont(_installed_fonts()[0]))
    return frozenset(map(chr, font.get_charmap())) | {"\n"}


@functools.cache
def _installed_fonts() -> list[str]:
    """Our fonts that exist here, for scripts that the first one lacks; asking for others would be logged."""
    installed = set(font_manager.fontManager.get_font_names())
    return [font for font in _FONTS if font in installed] or ["sans-serif"]

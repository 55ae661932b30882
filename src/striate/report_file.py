"""The path of a report, which shows itself in a notebook."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # before Python 3.12, only the class for this system can be built upon

HEIGHT_PIXELS = 720


class ReportFile(_Path):
    """Where a report lies: a path like any other, but a notebook shows the page and not its path.

    The page runs within a frame of its own: its script works, but reaches nothing of the notebook.
    """

    def _repr_html_(self) -> str | None:
        """Return the page within a frame; None, so that the path is shown, where there is no page."""
        try:
            page = self.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
        return (
            f'<iframe title="report" sandbox="allow-scripts" allow="clipboard-write" '
            f'style="width: 100%; height: {HEIGHT_PIXELS}px; border: 1px solid #8886" '
            f'srcdoc="{html.escape(page, quote=True)}"></iframe>'
        )

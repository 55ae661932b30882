"""The report: one HTML file that needs no network, made from plain values.

`page` puts it together; the other modules each work out one part of it, and `templates/` holds its form.
"""

from striate.evaluation.report.page import render_report

__all__ = ["render_report"]

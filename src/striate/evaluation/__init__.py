"""What a trained network is worth: metrics, intervals, figures and the report, from saved files; never torch.

`figures` imports matplotlib and is imported where it is used: `from striate.evaluation import figures`.
"""

from striate.evaluation.context import Command, ReportContext, context_from_run
from striate.evaluation.intervals import wilson
from striate.evaluation.metrics import compute_metrics, confusion_matrix
from striate.evaluation.report import render_report
from striate.evaluation.tables import per_class_table, predictions_table

__all__ = [
    "Command",
    "ReportContext",
    "compute_metrics",
    "confusion_matrix",
    "context_from_run",
    "per_class_table",
    "predictions_table",
    "render_report",
    "wilson",
]

"""Figures of data, training and evaluation as matplotlib `Figure` objects; imports matplotlib.

Import this package where figures are drawn (`from striate.evaluation import figures`); `striate.evaluation`
itself does not. `png`, `svg` and `save` write a figure.
"""

from striate.evaluation.figures.calibration import reliability
from striate.evaluation.figures.classes import class_balance, per_class_recall
from striate.evaluation.figures.confusion import CELL_TEXT_CLASSES, confusion_matrix
from striate.evaluation.figures.costs import threshold_costs
from striate.evaluation.figures.curves import learning_curves
from striate.evaluation.figures.images import augmentation_preview, image_grid, image_sizes, sample_grid
from striate.evaluation.figures.race import convolution_race
from striate.evaluation.figures.ranking import precision_recall_curves, roc_curves
from striate.evaluation.figures.style import png, save, svg

__all__ = [
    "CELL_TEXT_CLASSES",
    "augmentation_preview",
    "class_balance",
    "confusion_matrix",
    "convolution_race",
    "image_grid",
    "image_sizes",
    "learning_curves",
    "per_class_recall",
    "png",
    "precision_recall_curves",
    "reliability",
    "roc_curves",
    "sample_grid",
    "save",
    "svg",
    "threshold_costs",
]

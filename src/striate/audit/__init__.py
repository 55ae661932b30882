"""Honest data: duplicates, leaks between splits, shortcuts, doubtful labels; before anything is trained."""

from striate.audit.doubts import (
    FOLDS,
    LabelDoubt,
    Outlier,
    check_features,
    doubtful_labels,
    near_in_features,
    outliers,
)
from striate.audit.duplicates import Group, Pair, find_duplicates
from striate.audit.findings import Findings
from striate.audit.page import render
from striate.audit.reading import Images, read
from striate.audit.shortcuts import Shortcut, find_shortcuts

__all__ = [
    "FOLDS",
    "Findings",
    "Group",
    "Images",
    "LabelDoubt",
    "Outlier",
    "Pair",
    "Shortcut",
    "check_features",
    "doubtful_labels",
    "find_duplicates",
    "find_shortcuts",
    "near_in_features",
    "outliers",
    "read",
    "render",
]

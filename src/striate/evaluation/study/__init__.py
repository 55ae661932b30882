"""Which of several recipes is better: paired statistics, disagreements, and the pages that show them."""

from striate.evaluation.study.answers import Answers, gather
from striate.evaluation.study.comparison import compare_entries
from striate.evaluation.study.entries import Entry

__all__ = ["Answers", "Entry", "compare_entries", "gather"]

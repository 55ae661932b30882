"""Trust cards: what a class map is asked, and a verdict that can say no. Imports torch."""

from striate.explain.trust.measures import Curves, Measures, measure
from striate.explain.trust.verdict import BAD, GOOD, WEAK, Verdict, judge

__all__ = ["BAD", "GOOD", "WEAK", "Curves", "Measures", "Verdict", "judge", "measure"]

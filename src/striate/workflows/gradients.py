"""Every gradient of the engine checked, and the checks themselves: do they find deliberate mistakes?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.workflows.listener import Listener

if TYPE_CHECKING:
    from striate.engine.exercises import Finding
    from striate.engine.gradient_report import GradientReport


@dataclass(frozen=True)
class GradientChecks:
    """What the checks found.

    Attributes:
        reports: of every layer, block and loss, by name.
        findings: of every exercise, whose mistake has to be caught.
        caught_by: what kind of check catches each: `gradcheck`, `oracle` or `optimizer`.
    """

    reports: dict[str, GradientReport]
    findings: dict[str, Finding]
    caught_by: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether all gradients are right and all mistakes were caught."""
        right = all(report.passed for report in self.reports.values())
        return right and all(finding.caught for finding in self.findings.values())


def check_gradients(listener: Listener | None = None) -> GradientChecks:
    """Check every gradient of the engine by the two-point formula, then the exercises.

    Args:
        listener: hears how it goes.
    """
    from striate.engine import gradient_suite
    from striate.engine.exercises import EXERCISES

    listener = listener or Listener()
    listener.stage("checking gradients", 0, 2)
    reports = gradient_suite.check_gradients()
    listener.stage("checking gradients", 1, 2)
    findings = {name: exercise.check() for name, exercise in EXERCISES.items()}
    listener.stage("checking gradients", 2, 2)
    caught_by = {name: exercise.caught_by for name, exercise in EXERCISES.items()}
    return GradientChecks(reports, findings, caught_by)

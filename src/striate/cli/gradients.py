"""What people see when all gradients have been checked: each one's error, and which mistakes were caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from striate.cli.results import result_console

if TYPE_CHECKING:
    from striate.workflows.gradients import GradientChecks


def show_gradients(checks: GradientChecks) -> None:
    """Print the table of gradients, that of the exercises, the reports of what failed, and the verdict."""
    console = result_console()
    console.print("gradients against the two-point formula, float64\n", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("checked")
    table.add_column("elements", justify="right")
    table.add_column("largest error", justify="right")
    table.add_column("")
    for name, report in checks.reports.items():
        elements = sum(one.checked for one in report.inputs.values())
        verdict = "right" if report.passed else "WRONG"
        table.add_row(name, f"{elements}", f"{report.largest_error:.1e}", verdict)
    console.print(table)
    console.print("\ndeliberate mistakes (striate.engine.exercises)\n", soft_wrap=True)
    console.print(_exercise_table(checks))
    for report in checks.reports.values():
        if not report.passed:
            console.print(f"\n{report}", markup=False, highlight=False)
    _show_verdict(console, checks)


def _exercise_table(checks: GradientChecks) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("mistake", "found by", ""):
        table.add_column(name)
    for name, finding in checks.findings.items():
        table.add_row(name, checks.caught_by[name], "caught" if finding.caught else "MISSED")
    return table


def _show_verdict(console: Any, checks: GradientChecks) -> None:
    right = sum(report.passed for report in checks.reports.values())
    caught = sum(finding.caught for finding in checks.findings.values())
    verdict = "PASS" if checks.passed else "FAIL"
    console.print(
        f"\n{verdict}: {right} of {len(checks.reports)} gradients are right, "
        f"{caught} of {len(checks.findings)} mistakes were caught.",
        soft_wrap=True,
    )


def as_record(checks: GradientChecks) -> dict[str, Any]:
    """Return the result as plain values."""
    return {
        "passed": checks.passed,
        "gradients": {
            name: {"passed": report.passed, "largest_error": report.largest_error}
            for name, report in checks.reports.items()
        },
        "exercises": {name: finding.caught for name, finding in checks.findings.items()},
    }

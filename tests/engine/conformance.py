"""Run the cases that ONNX and PyTorch wrote, and write `docs/conformance.md`.

    .venv/bin/python tests/engine/conformance.py

Cases outside the engine's scope are listed with the reason; no other case may fail.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from conformance_cases import ONNX, PYTORCH, REFUSED, Case, OutOfScope
from onnx_cases import onnx_cases
from torch_samples import OPERATORS, torch_cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

ENGINE = {
    "Conv": "conv2d",
    "MaxPool": "max_pool2d",
    "AveragePool": "avg_pool2d",
    "GlobalAveragePool": "adaptive_avg_pool2d",
    "GlobalMaxPool": "adaptive_max_pool2d",
    "BatchNormalization": "batch_norm",
    "Gemm": "linear",
    "Flatten": "flatten",
    "Dropout": "dropout",
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Gelu": "gelu",
    "Swish": "silu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "SoftmaxCrossEntropyLoss": "cross_entropy",
    "NegativeLogLikelihoodLoss": "nll_loss",
    "Momentum": "optim.SGD",
    "Adam": "optim.Adam",
} | OPERATORS
"""The engine's name for an operator of either source."""


@dataclass(frozen=True)
class Result:
    """What became of a case.

    Attributes:
        case: the case.
        failure: what differed, empty if nothing.
        reason: why it is out of scope, empty if it is not.
    """

    case: Case
    failure: str = ""
    reason: str = ""


@cache
def results() -> tuple[Result, ...]:
    """Run all cases, once."""
    return tuple(_run(case) for case in (*onnx_cases(), *torch_cases()))


def _run(case: Case) -> Result:
    try:
        case.check()
    except OutOfScope as reason:
        return Result(case, reason=str(reason))
    except Exception as error:  # noqa: BLE001 - whatever it is, the case has not passed
        return Result(case, failure=f"{type(error).__name__}: {error}")
    return Result(case)


def render(found: Iterable[Result]) -> str:
    """Return the page."""
    found = list(found)
    parts = [_HEAD.format(onnx=version("onnx"), torch=version("torch").partition("+")[0])]
    for source, title, text in _SECTIONS:
        here = [result for result in found if result.case.source == source]
        parts += [f"## {title}\n", text.strip() + "\n", _table(here)]
    outside = [result for result in found if result.reason]
    parts += ["## Out of scope\n", _OUTSIDE.strip() + "\n", _reasons(outside)]
    return "\n".join(parts)


def _table(found: list[Result]) -> str:
    lines = ["| operator | `striate.engine` | cases | in scope | passed |", "|---|---|---|---|---|"]
    totals: Counter[str] = Counter()
    for operator in dict.fromkeys(result.case.operator for result in found):
        here = [result for result in found if result.case.operator == operator]
        inside = [result for result in here if not result.reason]
        passed = sum(not result.failure for result in inside)
        totals.update(cases=len(here), inside=len(inside), passed=passed)
        lines.append(f"| {operator} | `{ENGINE[operator]}` | {len(here)} | {len(inside)} | {passed} |")
    lines.append(f"| all | | {totals['cases']} | {totals['inside']} | {totals['passed']} |")
    return "\n".join(lines) + "\n"


def _reasons(outside: list[Result]) -> str:
    lines = ["| source | operator | why | cases |", "|---|---|---|---|"]
    groups: dict[tuple[str, str, str], list[str]] = {}
    for result in outside:
        key = (result.case.source, result.case.operator, result.reason)
        groups.setdefault(key, []).append(f"`{result.case.name}`")
    lines += [f"| {' | '.join(key)} | {', '.join(names)} |" for key, names in groups.items()]
    return "\n".join(lines) + "\n"


_HEAD = """# Conformance

Tests that others wrote for the same operations, run through `striate.engine`. Every case within the engine's
scope passes. The page is written by `.venv/bin/python tests/engine/conformance.py`; a test runs all cases and
checks that it is current. Sources: onnx {onnx}, torch {torch}.
"""

_SECTIONS = (
    (
        ONNX,
        "ONNX backend node tests",
        """
Values in float32, compared as ONNX's own runner does (relative 1e-3, absolute 1e-7). A one-dimensional
pooling runs as one over maps a single row high. ONNX's batch normalisation keeps the *biased* running
variance: the case is held to the engine's mean and biased variance. Dropout is given the mask that the case
lists.
""",
    ),
    (
        PYTORCH,
        "PyTorch's sample inputs",
        """
`op_db` of `torch.testing._internal.common_methods_invocations`: values, pooling indices, and the gradients
that the engine computes (of the input; for convolution, linear and batch normalisation of weight and bias
too), in float64, within 1e-10. Batch normalisation's running statistics are compared as well. `flatten` is
given torch's default `start_dim=0`; the engine's own is that of `torch.nn.Flatten`, 1.
""",
    ),
    (
        REFUSED,
        "Inputs that PyTorch refuses",
        """
The bad inputs of `op_db`: the engine must refuse each with a `ValueError` or `TypeError` that names what is
wrong.
""",
    ),
)

_OUTSIDE = """
What is asked there is not among the engine's operations.
"""


def main() -> int:
    """Write the page; say what failed."""
    from striate.files import write_text

    found = results()
    write_text(PAGE, render(found))
    failed = [result for result in found if result.failure]
    for result in failed:
        print(f"{result.case.source} {result.case.operator} {result.case.name}: {result.failure[:300]}")
    outside = sum(bool(result.reason) for result in found)
    print(f"{len(found)} cases, {outside} out of scope, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The allocator setting, in processes of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from striate import allocator

_GLIBC = platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"

_PROGRAM = """
import sys
from striate import allocator
print(allocator.tune())
block = bytearray(64 * 2**20)
maps = open('/proc/self/status').read()
del block
resident = [line for line in open('/proc/self/status') if line.startswith('VmRSS')][0]
print(int(resident.split()[1]) // 1024)
"""


def tuned_and_resident_mb(**environment: str) -> tuple[str, int]:
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    tuned, resident = result.stdout.split()
    return tuned, int(resident)


@pytest.mark.skipif(not _GLIBC, reason="needs glibc")
def test_a_tuned_process_keeps_freed_memory() -> None:
    tuned, resident = tuned_and_resident_mb()
    assert tuned == "True"
    assert resident > 64


@pytest.mark.skipif(not _GLIBC, reason="needs glibc")
def test_the_environment_opts_out() -> None:
    tuned, resident = tuned_and_resident_mb(**{allocator.OPT_OUT: "0"})
    assert tuned == "False"
    assert resident < 64


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert allocator.tune() is False

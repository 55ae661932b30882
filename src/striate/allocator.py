"""The setting of glibc's memory allocator that training and inference on a CPU run fastest with.

By default glibc fetches every large block from the kernel and gives it back when it is freed, so that a
network's tensors are mapped, zeroed and unmapped at every step. `tune` makes it keep freed memory for the
next tensor: the process grows to its peak and stays there.
"""

from __future__ import annotations

import ctypes
import os
import platform

OPT_OUT = "STRIATE_TUNE_ALLOCATOR"
"""Environment variable; `0` leaves the allocator as it is."""

# Parameters of mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4

_LARGEST_INT = 2**31 - 1
_TOP_PAD_BYTES = 64 * 2**20


def tune() -> bool:
    """Make glibc keep freed memory, for the whole process; return whether that was done.

    Blocks never come from their own mapping (`M_MMAP_MAX` 0), the heap does not shrink below 2 GiB of free
    memory (`M_TRIM_THRESHOLD`) and grows in steps of 64 MiB (`M_TOP_PAD`). Nothing is done on systems without
    glibc, or where the environment says `STRIATE_TUNE_ALLOCATOR=0`. Commands call it at their start; a
    program that uses the library decides for itself.
    """
    if os.environ.get(OPT_OUT, "1").strip().lower() in ("0", "false", "no", "off"):
        return False
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = (
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, _LARGEST_INT),
        (_M_TOP_PAD, _TOP_PAD_BYTES),
    )
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)

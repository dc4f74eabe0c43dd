"""How much memory a call needs at most, over what the process held before."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mib(call: Callable[[], object]) -> float:
    """MiB of resident memory; nan where the system does not tell (anywhere but on Linux)."""
    gc.collect()
    with suppress(OSError, AttributeError):  # what was freed before and is kept for later would not count
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        CLEAR.write_text("5")  # the peak starts anew
        before = _field("VmRSS")
        call()
        return (_field("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def _field(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])

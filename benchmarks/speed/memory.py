"""How much memory a call needs at most, over what the process held before."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mib(call: Callable[[], object]) -> float:
    """MiB of resident memory; nan where the system does not tell (anywhere but on Linux)."""
    gc.collect()
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

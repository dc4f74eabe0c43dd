"""How much more memory this process may take, so that what cannot fit is refused before it is begun."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

CGROUP: Final = (  # limit and use of the group that this process is in: version 2, version 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
CGROUPS: Final = Path("/sys/fs/cgroup")
MEMINFO: Final = Path("/proc/meminfo")


def memory_left() -> int | None:
    """Bytes that this process may still take of the machine, its group's limit and its own; None: nothing is known."""
    known = [left for left in (_of_machine(), _of_group(), _of_process()) if left is not None]
    return max(0, min(known)) if known else None


def _of_machine() -> int | None:
    with contextlib.suppress(OSError):
        if match := re.search(r"^MemAvailable:\s+(\d+) kB", MEMINFO.read_text(), flags=re.MULTILINE):
            return int(match[1]) * 1024
    return None


def _of_group() -> int | None:
    for limit, used in CGROUP:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            return int((CGROUPS / limit).read_text()) - int((CGROUPS / used).read_text())
    return None


def _of_process() -> int | None:
    """What `ulimit -v` leaves."""
    with contextlib.suppress(ImportError, OSError):  # there is no such module on Windows
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            return limit - int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return None

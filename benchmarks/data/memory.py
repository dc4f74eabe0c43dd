"""How much more memory this process may take, so that what cannot fit is refused before it is begun."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

CGROUP: Final = (  # limit and use of a group, in the folder of its controller if there is one: version 2, version 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_GROUPS: Final = Path("/proc/self/cgroup")  # a line each: number, controllers, name of the group
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
    """What the limits of this process's group, and of the groups that it is in, leave.

    Files that the system keeps in memory count as use, but are given up when memory is wanted.
    """
    left = []
    for limit, used in CGROUP:
        for folder in _groups(os.path.dirname(limit)):
            with contextlib.suppress(OSError, ValueError):  # "max": no limit
                most = int((folder / os.path.basename(limit)).read_text())
                left.append(most - int((folder / os.path.basename(used)).read_text()) + _kept_files(folder))
    return min(left, default=None)


def _groups(controller: str) -> list[Path]:
    """The folders of this process's group and of those above it; the uppermost alone where its group is not known."""
    own = PurePosixPath()
    with contextlib.suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controller in controllers.split(","):
                own = PurePosixPath(name).relative_to("/")
    return [CGROUPS / controller / group for group in (own, *own.parents)]


def _kept_files(folder: Path) -> int:
    """Bytes of files that the system keeps in memory for a group and all below it."""
    with contextlib.suppress(OSError, ValueError):
        known = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        names = ("active_file", "inactive_file")  # of version 1 those with total_ are of all below too
        return sum(int(known.get(f"total_{name}", known.get(name, 0))) for name in names)
    return 0


def _of_process() -> int | None:
    """What `ulimit -v` leaves."""
    with contextlib.suppress(ImportError, OSError):  # there is no such module on Windows
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            return limit - int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return None

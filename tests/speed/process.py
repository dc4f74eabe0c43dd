"""One call of the harness in a process of its own: time, start included; and, in another call, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# a process started from a large one has that one's size as its own `ru_maxrss` (Linux): it has to say itself
_TELL = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(open("/proc/self/status").read())
"""


@dataclass(frozen=True)
class Call:
    """What one call took."""

    wall: float  # seconds
    processor: float  # seconds, of all its threads
    words: str  # what it printed, errors included


def called(*arguments: str | Path) -> Call:
    """Call `harness.py` with these arguments. Raises RuntimeError with its words where it fails."""
    start, before = time.perf_counter(), os.times()
    words = _words([sys.executable, str(PROJECT / "harness.py"), *map(str, arguments)])
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Call(wall, used, words)


def peak_mib(*arguments: str | Path) -> float:
    """The largest resident set of such a call; nan where the system does not tell (anywhere but on Linux)."""
    if not Path("/proc/self/status").exists():
        return float("nan")
    words = _words([sys.executable, "-c", _TELL, str(PROJECT / "harness.py"), *map(str, arguments)])
    return next(int(line.split()[1]) for line in words.splitlines() if line.startswith("VmHWM:")) / 1024


def _words(command: list[str]) -> str:
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    told = subprocess.PIPE
    done = subprocess.run(command, stdout=told, stderr=subprocess.STDOUT, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout

"""One call of the harness in a process of its own: time, start included; and, in another call, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
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
    peak_mib: float = float("nan")  # the largest resident set


def called(*arguments: str | Path) -> Call:
    """Call `harness.py` with these arguments. Raises RuntimeError with its words where it fails."""
    return _timed([sys.executable, str(PROJECT / "harness.py"), *map(str, arguments)])


def _timed(command: list[str]) -> Call:
    start, before = time.perf_counter(), os.times()
    words = _words(command)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Call(wall, used, words)


def peak_mib(*arguments: str | Path) -> float:
    """The largest resident set of such a call; nan where the system does not tell (anywhere but on Linux)."""
    return measured(*arguments).peak_mib


def measured(*arguments: str | Path) -> Call:
    """As `called`, with the largest resident set of the process, its children apart."""
    if not Path("/proc/self/status").exists():
        return called(*arguments)
    call = _timed([sys.executable, "-c", _TELL, str(PROJECT / "harness.py"), *map(str, arguments)])
    peak = next(int(line.split()[1]) for line in call.words.splitlines() if line.startswith("VmHWM:")) / 1024
    return replace(call, peak_mib=peak)


def _words(command: list[str]) -> str:
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    told = subprocess.PIPE
    done = subprocess.run(command, stdout=told, stderr=subprocess.STDOUT, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout

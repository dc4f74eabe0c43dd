"""How long commands take, each in a process of its own, start included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.compare import Timing, summary
from benchmarks.speed.many_records import copies

PROJECT = Path(__file__).resolve().parents[2]


def timings(repeats: int) -> Iterator[tuple[str, Timing, float]]:
    """What was called, how long it took, and the seconds to stay below."""
    yield "--help", _called(repeats, "--help"), 0.3
    yield "list methods", _called(repeats, "list", "methods"), 1.0
    with tempfile.TemporaryDirectory() as folder:
        copies(Path(folder), 1000)
        yield "tables of 1,000 records", _called(repeats, "tables", "--from", folder), 2.0


def growth() -> dict[str, dict[int, float]]:
    """Processor seconds of `tables` against records, its start included."""
    found = {}
    for records in (100, 1000, 4000):
        with tempfile.TemporaryDirectory() as folder:
            copies(Path(folder), records)
            found[records] = _called(1, "tables", "--from", folder).processor
    return {"tables against records": found}


def _called(repeats: int, *arguments: str) -> Timing:
    samples = []
    for _ in range(repeats):
        start, before = time.perf_counter(), os.times()
        command = [sys.executable, str(PROJECT / "harness.py"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        samples.append((wall, used))
    return summary(samples)

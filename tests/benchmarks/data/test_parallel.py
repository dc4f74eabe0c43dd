"""Several processes, whoever calls: a script without a guard of its main module, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
SCRIPT = """
import math
import multiprocessing
from benchmarks.data import parallel

print("once")
if METHOD == "spawn":  # as on Windows
    multiprocessing.get_all_start_methods = lambda: ["spawn"]
parallel.FEW = 1
print(list(parallel.mapped(math.factorial, range(5), jobs=2)))
parallel.cores = lambda: 2
with parallel.beside("statistics") as other:
    print(other.submit(math.sqrt, 49).result())
print(__file__ == __import__("sys").argv[0], __spec__)
"""


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_without_a_guard_runs_once(method: str, tmp_path: Path) -> None:
    """Fails if the processes import the caller's script: they would run it again, and end with an error of Python's;
    or where a system has no fork server."""
    script = tmp_path / "script.py"
    script.write_text(f"METHOD = {method!r}\n{SCRIPT}")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["once", "[1, 1, 2, 6, 24]", "7.0", "True None"], done.stderr
    assert not done.stderr

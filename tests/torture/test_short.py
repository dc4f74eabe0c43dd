"""The trials in short: a few of each, so that a change that loses runs is seen at once. `make torture` has the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
from tests.torture import fuzz

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", fuzz.READERS)
def test_broken_input(name: str) -> None:
    """Fails when broken or hostile input to a reader ends in a stack trace, hangs, or leaves its folder."""
    row = fuzz.fuzzed(name, 100)
    assert row.failures == []
    assert row.trials == row.survived >= 50


@pytest.mark.parametrize("script", ["kill", "ranks", "concurrent", "disk", "checkpoints"])
def test_faults(script: str) -> None:
    """Fails when a run that was killed, shared or refused by its disk does not end as if nothing had been."""
    # in a process of its own: trials are forks of one that has no threads and never ran a backward pass
    done = subprocess.run(
        [sys.executable, "-m", f"tests.torture.{script}", "--short"],
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " of 0 survived" not in done.stdout
    assert "survived" in done.stdout

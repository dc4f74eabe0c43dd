"""Cancelling what has not begun: no work is lost, so nothing may look failed, and all of it can be submitted again."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.calls import SLURM, Harness

GRID = ("--methods", "random", "constant", "clip", "--folds", "0", "1", "--limit", "6")  # arrays of 4 and of 2
LATER = ("--slurm", "begin=now+3600")


def states(harness: Harness, root: Path, *grid: str) -> str:
    """The last line of `status`."""
    return harness("status", *grid, "--runs", root).stdout.splitlines()[-1]


def test_waiting_elements(harness: Harness, tmp_path: Path) -> None:
    """Fails when elements that never started look failed after `cancel`, or are not submitted again: SLURM keeps one
    record for the rest of an array, without an index or with a list of them in brackets.
    """
    harness.submit(tmp_path, *GRID, *LATER)
    assert states(harness, tmp_path, *GRID) == "6 runs: 6 queued"
    part = ("--methods", "random", "clip", "--folds", "0", "--limit", "6")  # elements of both arrays
    assert "2 jobs cancelled" in harness("cancel", *part, "--runs", tmp_path).stdout
    assert states(harness, tmp_path, *GRID) == "6 runs: 2 planned, 4 queued"
    again = harness("run", *GRID, *SLURM, *LATER, "--runs", tmp_path)
    assert "2 runs submitted" in again.stdout, again
    assert states(harness, tmp_path, *GRID) == "6 runs: 6 queued"
    assert "6 jobs cancelled" in harness("cancel", *GRID, "--runs", tmp_path).stdout
    assert states(harness, tmp_path, *GRID) == "6 runs: 6 planned"
    assert "6 runs submitted" in harness("run", *GRID, *SLURM, *LATER, "--runs", tmp_path).stdout
    harness("cancel", *GRID, "--runs", tmp_path)
    assert not harness.cluster.ask("squeue", "--noheader", "--states=pending").strip()


def test_one_at_a_time(harness: Harness, tmp_path: Path) -> None:
    """Fails when elements that wait for their turn under --array-parallelism 1 are lost with the one that runs, or when
    cancelling them touches it.
    """
    grid = ("--methods", "random", "--folds", "0", "1", "2", "--limit", "6")
    wait = ("--array-parallelism", "1", "--setup", "sleep 600")
    job = harness.submit(tmp_path, *grid, *wait)
    harness.cluster.wait_until(lambda: harness.cluster.state(f"{job}_0") == "RUNNING", "the first runs", 60)
    assert states(harness, tmp_path, *grid) == "3 runs: 2 queued, 1 running"
    some = ("--methods", "random", "--folds", "1", "--limit", "6")
    assert "1 jobs cancelled" in harness("cancel", *some, "--runs", tmp_path).stdout
    assert states(harness, tmp_path, *grid) == "3 runs: 1 planned, 1 queued, 1 running"
    assert harness.cluster.state(f"{job}_0") == "RUNNING"
    assert "2 jobs cancelled" in harness("cancel", *grid, "--runs", tmp_path).stdout
    harness.cluster.wait_until(lambda: not harness.cluster.ask("squeue", "--noheader"), "all have ended", 60)
    assert states(harness, tmp_path, *grid) == "3 runs: 3 planned"
    again = harness("run", *grid, *SLURM, *LATER, "--runs", tmp_path)
    assert "3 runs submitted" in again.stdout, again
    harness("cancel", *grid, "--runs", tmp_path)

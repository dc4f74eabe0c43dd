"""Why a run has no record stands where people look: in `status`, in the last line of its job's log at the latest."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.slurm.calls import SLURM, Harness

ONE = ("--methods", "random", "--folds", "0", "--limit", "6")
TOGETHER = ("--methods", "zegclip", "--folds", "0", "--limit", "40", "--ranks", "2")


def ended(harness: Harness, job: str) -> None:
    """Wait until a job has left its node."""
    gone = ("FAILED", "CANCELLED", "OUT_OF_MEMORY", "NODE_FAIL", "COMPLETED")
    harness.cluster.wait_until(lambda: harness.cluster.state(job) in gone, f"job {job} has ended", 200)


def processes_of(job: str, root: Path) -> dict[int, int]:
    """Rank to process of a job's tasks. root: of its runs, since another cluster's job may have its number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"SLURM_JOB_ID={job}".encode() in words and b"submitit.core._submit" in title and b"srun" not in title:
            if bytes(root) not in title:
                continue
            rank = next((w for w in words if w.startswith(b"SLURM_PROCID=")), b"SLURM_PROCID=0")
            found[int(rank.partition(b"=")[2])] = int(folder.name)
    return found


def test_a_job_killed_for_its_memory(harness: Harness, tmp_path: Path) -> None:
    """Fails when SLURM's own words on why it killed a job stay in a log that nobody opens."""
    job = harness.submit(tmp_path, *ONE, "--mem", "30M")
    ended(harness, job)
    told = harness("status", *ONE, "--runs", tmp_path).stdout
    assert "1 failed" in told
    assert "Exceeded job memory limit" in told


def test_a_setup_line_that_fails(harness: Harness, tmp_path: Path) -> None:
    """Fails when a job trains without what --setup was to prepare, or its reason is not that line."""
    job = harness.submit(tmp_path, *ONE, "--setup", "export A=1", "--setup", "module load no-such-cuda")
    ended(harness, job)
    told = harness("status", *ONE, "--runs", tmp_path).stdout
    assert "1 failed" in told
    assert "--setup line failed: module load no-such-cuda" in told
    assert not list(tmp_path.glob("*/random/*/state.json"))


@pytest.mark.parametrize("folds", [("0",), ("0", "1")], ids=["a job", "an array"])
@pytest.mark.parametrize(
    "says",
    ["echo Welcome to the site, see ticket 99; echo Submitted batch job 77", "echo Stapelauftrag eingereicht", ":"],
    ids=["banner", "language", "nothing"],
)
def test_what_sbatch_says(harness: Harness, tmp_path: Path, says: str, folds: tuple[str, ...]) -> None:
    """Fails when a job is known by what sbatch prints: a banner's number, or no number that is understood."""
    real = next(p for p in os.environ["PATH"].split(os.pathsep) if Path(p, "sbatch").exists())
    front = tmp_path / "bin"
    front.mkdir()
    (front / "sbatch").write_text(f'#!/bin/sh\n{real}/sbatch "$@" > /dev/null || exit 1\n{says}\n')
    (front / "sbatch").chmod(0o755)
    path = f"{front}{os.pathsep}{os.environ['PATH']}"
    root, grid = tmp_path / "runs", ("--methods", "random", "--folds", *folds, "--limit", "6")
    process = harness.start("run", *grid, *SLURM, "--slurm", "begin=now+3600", "--runs", root, PATH=path)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    (job,) = harness.cluster.ask("squeue", "--noheader", "--states=pending", "--format=%F").split()
    assert f"job {job}: {len(folds)} runs" in out
    assert len(list(root.glob(f".jobs/*/array0/{job}*/*submitted.pkl"))) == len(folds)
    assert f"{len(folds)} jobs cancelled" in harness("cancel", *grid, "--runs", root).stdout


def test_an_sbatch_that_refuses_in_another_language(harness: Harness, tmp_path: Path) -> None:
    """Fails when what sbatch said is lost because no word of it is known."""
    front = tmp_path / "bin"
    front.mkdir()
    (front / "sbatch").write_text("#!/bin/sh\necho Willkommen\necho Konto unbekannt >&2\nexit 1\n")
    (front / "sbatch").chmod(0o755)
    path = f"{front}{os.pathsep}{os.environ['PATH']}"
    process = harness.start("run", *ONE, *SLURM, "--runs", tmp_path / "runs", PATH=path)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 2
    assert err.splitlines()[-1] == "error: SLURM refused the jobs: Konto unbekannt"
    assert "Traceback" not in err


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank(harness: Harness, tmp_path: Path, rank: int) -> None:
    """Fails when the state of a run depends on which of its ranks was killed, it is not said which, or SLURM is asked
    to start again what a person should look at.
    """
    job = harness.submit(tmp_path, *TOGETHER, "--nodes", "2")
    with harness.standing_still(tmp_path):
        os.kill(processes_of(job, tmp_path)[rank], signal.SIGKILL)
    ended(harness, job)
    told = harness("status", *TOGETHER, "--runs", tmp_path).stdout
    assert "1 interrupted" in told
    assert f"rank {rank} of 2 ended without a word" in told
    assert "gloo" not in told


def test_submitted_while_jobs_are_ending(harness: Harness, tmp_path: Path) -> None:
    """Fails when a run whose job was cancelled a moment ago is left out of a submission without a word."""
    job = harness.submit(tmp_path, *ONE, "--setup", "trap '' TERM CONT; sleep 8; sleep 8")
    harness.cluster.wait_until(lambda: harness.cluster.state(job) == "RUNNING", "it runs", 60)
    harness("cancel", *ONE, "--runs", tmp_path)
    assert harness.cluster.state(job) == "COMPLETING"
    again = harness("run", *ONE, *SLURM, "--runs", tmp_path)
    assert "nothing to submit" in again.stdout
    assert "still ending" in again.stderr

"""Grids on a real SLURM, with everything that goes wrong on one; each record equals the one made without faults.

Every run here is short and has one thread. A fault's run has a folder of runs of its own, so that all of them are
the same run, to be compared with one record made locally.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from results.launch.plan.runs import methods_named
from results.store.record import RunRecord
from tests.slurm.calls import PROJECT, SLURM, Harness, records

GRID = ("--methods", "all", "--folds", "0", "--limit", "6")
LONG = ("--methods", "zegclip", "--folds", "0", "--limit", "40")
TOGETHER = (*LONG, "--ranks", "2")


@pytest.fixture(scope="module")
def local(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    """The records of all runs of these tests, made without a cluster and without faults."""
    root = tmp_path_factory.mktemp("local")
    for grid in (GRID, LONG, TOGETHER):
        done = harness("run", *grid, "--runs", root, "--cluster", "debug")
        assert done.returncode == 0, done.stderr
    return records(root)


def the_only(root: Path, local: dict[str, RunRecord]) -> RunRecord:
    """The one record below a root, which must be what was made locally, bit for bit."""
    ((key, record),) = records(root).items()
    assert record.result.digest() == local[key].result.digest()
    return record


def test_a_grid_as_arrays_collected_by_another_process(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when a run of a grid cut into arrays is lost, made twice, or made otherwise."""
    assert harness.submit(tmp_path, *GRID)
    assert len(list(tmp_path.glob(".jobs/*/array*"))) == 2  # at most MaxArraySize, 4, in an array
    again = harness(*GRID, *SLURM, "--runs", tmp_path)
    assert "nothing to submit" in again.stdout
    done = harness.collect(tmp_path, *GRID)
    assert done.returncode == 0, done.stderr
    runs = len(methods_named(["all"]))
    assert f"{runs} runs: {runs} done" in done.stdout
    made = records(tmp_path)
    assert len(made) == runs
    for key, record in made.items():
        assert record.result.digest() == local[key].result.digest(), key
        assert (record.provenance.scoring.attempts, len(record.provenance.scoring.code_sha256)) == (1, 64)
        assert record.provenance.scoring.commit == local[key].provenance.scoring.commit


def test_usr2_at_one_element(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when a signalled element does not go on from its checkpoint, or disturbs the element beside it."""
    grid = (*LONG, "--methods", "zegclip", "clip")
    job = harness.submit(tmp_path, *grid)
    with harness.standing_still(tmp_path) as pid:
        harness.cluster.ask("scancel", "--signal=USR2", f"{job}_0")
        harness.told_to_stop(pid)
    harness.cluster.wait_until(lambda: harness.cluster.state(f"{job}_0") == "PENDING", "it is queued again", 90)
    assert list(tmp_path.glob("*/zegclip/*/checkpoint-*.pt"))
    done = harness.collect(tmp_path, *grid)
    assert done.returncode == 0, done.stderr
    made = {record.result.train.method: (key, record) for key, record in records(tmp_path).items()}
    assert {name: record.provenance.scoring.attempts for name, (_, record) in made.items()} == {"zegclip": 2, "clip": 1}
    key, record = made["zegclip"]
    assert record.result.digest() == local[key].result.digest()


def test_a_run_of_two_tasks_on_two_nodes(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when ranks on two nodes do not find each other, stop after different steps, do not go on together, or
    come to another result than two processes of one machine; or when one task's end takes the other with it.
    """
    job = harness.submit(tmp_path, *TOGETHER, "--nodes", "2")
    with harness.standing_still(tmp_path) as pid:
        harness.cluster.ask("scancel", "--signal=USR2", job)
        harness.told_to_stop(pid)
    harness.cluster.wait_until(lambda: harness.cluster.state(job) == "PENDING", "it is queued again", 90)
    done = harness.collect(tmp_path, *TOGETHER)
    assert done.returncode == 0, done.stderr
    record = the_only(tmp_path, local)
    assert record.provenance.scoring.attempts == 2
    assert [member.split()[0] for member in record.provenance.training.ranks] == ["n1", "n2"]


def test_time_limit(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when a run that comes to its time limit is not stopped in time, queued again and finished."""
    began = time.monotonic()
    job = harness.submit(tmp_path, *LONG, "--signal-delay", "200")
    limit = ["scontrol", "update", f"JobId={job}"]
    with harness.standing_still(tmp_path) as pid:
        assert harness.cluster.succeeds(*limit, f"TimeLimit={int(time.monotonic() - began) // 60 + 2}")
        harness.told_to_stop(pid)  # 200 s before the limit: at once, at SLURM's next look
    harness.cluster.wait_until(lambda: harness.cluster.state(job) == "PENDING", "it is queued again", 90)
    assert harness.cluster.succeeds(*limit, "TimeLimit=15")
    assert harness.collect(tmp_path, *LONG).returncode == 0
    assert the_only(tmp_path, local).provenance.scoring.attempts == 2


def test_time_limit_too_often(harness: Harness, tmp_path: Path) -> None:
    """Fails when requeues are not limited, or the limit is not told."""
    job = harness.submit(tmp_path, *LONG, "--time", "10", "--requeues", "0")
    with harness.standing_still(tmp_path) as pid:
        harness.cluster.ask("scancel", "--signal=USR2", job)  # within ten minutes submitit takes it for the time limit
        harness.told_to_stop(pid)
    done = harness.collect(tmp_path, *LONG)
    assert done.returncode == 1
    assert "timed-out too many times" in done.stderr
    assert "1 interrupted" in done.stdout


def test_preemption(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when a run that a higher partition pushes aside is lost, or starts anew from nothing."""
    job = harness.submit(tmp_path, *LONG)
    everything = ("-N", str(harness.cluster.nodes), "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    with harness.standing_still(tmp_path) as pid:
        assert harness.cluster.succeeds("sbatch", "--partition=high", *everything)
        harness.told_to_stop(pid)
    harness.cluster.wait_until(lambda: harness.cluster.state(job) == "PENDING", "it is preempted", 90)
    assert harness.collect(tmp_path, *LONG).returncode == 0
    assert the_only(tmp_path, local).provenance.scoring.attempts == 2


def test_node_death(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when a run whose node dies without a word is not finished elsewhere from its last checkpoint."""
    job = harness.submit(tmp_path, *LONG)
    with harness.standing_still(tmp_path):
        node = harness.cluster.ask("squeue", "-h", "-j", job, "-o", "%N").strip()
        harness.cluster.kill_node(node)
    try:
        status = harness("status", *LONG, "--runs", tmp_path)
        assert "1 running" in status.stdout  # SLURM does not know better yet
        assert harness.collect(tmp_path, *LONG).returncode == 0
    finally:
        harness.cluster.start_node(int(node[1:]))
    assert the_only(tmp_path, local).provenance.scoring.attempts == 2


def test_a_failing_job_among_good_ones(harness: Harness, tmp_path: Path) -> None:
    """Fails when a failed run takes others with it, has no reason, or is not counted in line and exit code."""
    grid = ("--methods", "random", "zegclip", "--folds", "0", "--limit", "6", "--set", "recipe.lr=1e30")
    harness.submit(tmp_path, *grid)
    done = harness.collect(tmp_path, *grid)
    assert done.returncode == 1
    assert "2 runs: 1 done, 1 failed" in done.stdout
    assert "not finite" in done.stderr
    again = harness(*grid, *SLURM, "--runs", tmp_path)
    assert "nothing to submit" in again.stdout  # a failed run is tried again when asked: --retry


def test_cancel_and_go_on(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when cancelling leaves jobs, raises them from the dead, or loses what had been trained."""
    job = harness.submit(tmp_path, *LONG)
    with harness.standing_still(tmp_path):
        assert "1 jobs cancelled" in harness("cancel", *LONG, "--runs", tmp_path).stdout
    harness.cluster.wait_until(lambda: harness.cluster.state(job) == "CANCELLED", "it is cancelled", 60)
    status = harness("status", *LONG, "--runs", tmp_path).stdout
    assert "1 interrupted" in status
    assert "was cancelled" in status
    assert harness("run", *LONG, "--runs", tmp_path).returncode == 0  # locally
    assert the_only(tmp_path, local).provenance.scoring.attempts == 2


def test_two_harnesses_over_one_grid(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when two harnesses that submit one grid at the same time submit a run twice."""
    grid = (*GRID, "--methods", "random", "clip")
    both = [harness.start(*grid, *SLURM, "--runs", tmp_path) for _ in range(2)]
    told = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted("nothing to submit" in out for out, _ in told) == [False, True]
    assert harness.collect(tmp_path, *grid).returncode == 0
    assert len(records(tmp_path)) == 2
    assert {record.provenance.scoring.attempts for record in records(tmp_path).values()} == {1}


def test_jobs_that_can_never_start(harness: Harness, tmp_path: Path) -> None:
    """Fails when a job that waits for nothing is left in the queue, or its reason is not told."""
    done = harness(*GRID, "--methods", "random", *SLURM, "--cpus", "64", "--runs", tmp_path)
    assert "could never start (PartitionConfig)" in done.stdout
    assert not harness.cluster.ask("squeue", "-h", "-t", "pending")
    status = harness("status", *GRID, "--methods", "random", "--runs", tmp_path)
    assert "1 failed" in status.stdout
    late = harness(*GRID, *SLURM, "--partition", "short", "--runs", tmp_path)
    assert (late.returncode, "partition short allows 10:00" in late.stderr) == (2, True)
    refused = harness(*GRID, *SLURM, "--mem", "900G", "--runs", tmp_path / "refused")
    assert (refused.returncode, "SLURM refused the jobs" in refused.stderr) == (2, True)
    assert not list(tmp_path.glob("refused/.jobs/*/array*"))


def test_submitted_from_inside_a_job_and_code_gone(harness: Harness, local, tmp_path: Path) -> None:
    """Fails when a job's own variables get into what it submits, SLURM_CONF is lost on the way, or a job that waited
    runs the code of the folder it was submitted from instead of its own copy.
    """
    project, root, log = tmp_path / "project", tmp_path / "runs", tmp_path / "outer.log"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(PROJECT), str(project)], check=True)
    grid = (*GRID, "--methods", "random")
    command = [
        sys.executable,
        str(project / "harness.py"),
        *grid,
        *SLURM,
        "--slurm",
        "begin=now+6",
        "--runs",
        str(root),
    ]
    outer = (
        "sbatch",
        "--wait",
        "-t",
        "5",
        "-D",
        str(project),
        "-o",
        str(log),
        "--wrap",
        f"srun -n1 {' '.join(command)}",
    )
    assert harness.cluster.succeeds(*outer), log.read_text()
    for package in ("benchmarks", "methods", "results", "splits"):
        (project / package).rename(project / f"{package}-gone")
    assert harness.collect(root, *grid).returncode == 0
    the_only(root, local)

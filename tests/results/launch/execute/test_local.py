"""Local jobs: how GPUs are shared out among them, and what is said of one that could not even begin."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from results.launch.execute import local
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.job import Job
from results.launch.run.status import Status


def test_visible_gpus_are_those_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when jobs of somebody who was given GPUs 2 and 3, or one by its id, run on others."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert local.visible_gpus(3) == ["0", "1", "2"]
    for given in ("2,3", "GPU-8932f937,MIG-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert local.visible_gpus(2) == given.split(",")


@pytest.mark.parametrize(("at_once", "together"), [(2, 4), (1, 2), (3, 4)])
def test_gpus_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, together: int) -> None:
    """Fails when runs at work at the same time share a GPU although there are enough, or get another number than
    they have ranks; when more run at once than there are GPUs for, they take turns on those there are.
    """
    monkeypatch.setattr(local, "POLL_SECONDS", 0)
    working: dict[int, list[str]] = {}
    most = []

    def start(executor: object, job: Job, slot: int, gpus: Sequence[str]) -> SimpleNamespace:
        working[slot] = list(gpus)
        assert len(gpus) == len(set(gpus)) == job.ranks
        most.append(len({gpu for used in working.values() for gpu in used}))
        looks = iter([False, True])
        ended = lambda: next(looks) and working.pop(slot) is not None  # noqa: E731
        return SimpleNamespace(job=job, slot=slot, ended=ended, outcome=lambda: Status("done"))

    monkeypatch.setattr(local, "_start", start)
    runs = plan(Request(("random", "zegclip"), ("shapes-5i",), ranks=2))
    jobs = sorted((Job(run=run, root=tmp_path, device="cuda") for run in runs), key=lambda job: -job.ranks)
    ended = local.run_jobs(jobs, at_once=at_once, folder=tmp_path / ".jobs", gpus=["4", "5", "6", "7"])
    assert len(ended) == len(jobs)
    assert max(most) == together


def test_a_disk_that_is_full_before_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a job that could write neither its claim nor its log has no reason but an empty log."""
    monkeypatch.setattr(local, "POLL_SECONDS", 0)
    (run,) = plan(Request(("random",), ("shapes-5i",), folds=(0,)))
    job, log = Job(run=run, root=tmp_path), tmp_path / "log.err"
    handle = SimpleNamespace(ended=lambda: True, log=log)
    claims = run.folder(tmp_path).claims
    monkeypatch.setattr(local, "_start", lambda executor, job, slot, gpus: local._Process(job, handle, slot, claims))

    def reason() -> str:
        (ended,) = local.run_jobs([job], at_once=1, folder=tmp_path / ".jobs")
        return ended.status.reason

    assert reason() == f"its process ended without a word; log: {log}"

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert reason().startswith(f"{tmp_path}: No space left on device; free space there")

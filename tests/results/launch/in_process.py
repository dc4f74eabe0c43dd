"""Jobs done in the test's own process, and what they took and left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from results.launch.run import ranks
from results.launch.run.job import Job
from results.launch.run.worker import work
from results.store.folders import RunFolder
from results.store.record import RunRecord

Gradients = list[list[Any]]  # of each step, of each parameter


def made(job: Job, stop: Callable[[], bool] = lambda: False) -> tuple[str, RunFolder]:
    """Do a job here; the state it ended in, and its folder."""
    folder = job.run.folder(job.root)
    claim = folder.claims.claim()
    assert claim is not None
    with ranks.LocalRanks(job) as others:
        return work(job, folder, claim, stop, others), folder


def watched(job: Job) -> Gradients:
    """Do a job; the gradients that each step of rank 0 took."""
    steps: Gradients = []
    original = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        every = [p for group in self.param_groups for p in group["params"]]
        steps.append([None if p.grad is None else p.grad.clone() for p in every])
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        state, folder = made(job)
    assert state == "done", folder.read_state()
    return steps


def record_of(job: Job) -> RunRecord:
    """The record that the job left."""
    record = job.run.folder(job.root).read_record(job.run.evaluation)
    assert record is not None
    return record

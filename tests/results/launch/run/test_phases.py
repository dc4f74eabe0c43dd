"""What a record tells of its training and of its scoring: each phase by itself, over all attempts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run.job import Job
from results.launch.run.phases import PhaseClock
from results.store import provenance
from tests.results.launch.in_process import made, record_of

pytestmark = pytest.mark.usefixtures("torch_as_it_was")


SMALL = Request(("zegclip",), ("shapes-5i",), folds=(0,), limit=4, overrides=("recipe.batch=2",))


def job_of(root: Path) -> Job:
    (run,) = plan(SMALL)
    return Job(run=run, root=root)


def test_scoring_again_leaves_the_training_as_it_was(tmp_path, monkeypatch):
    """Fails when weights of a clean checkout count as those of a dirty one that scored them later."""
    monkeypatch.setattr(provenance, "git_state", lambda: ("a" * 40, False))
    first = job_of(tmp_path)
    assert made(first)[0] == "done"
    monkeypatch.setattr(provenance, "git_state", lambda: ("b" * 40, True))
    (other,) = plan(replace(SMALL, inference=(("flips", True),)))
    again = replace(first, run=Run(first.run.train, other.evaluation), train=False)
    assert made(again)[0] == "done"
    one, two = record_of(first).provenance, record_of(again).provenance
    assert two.training == one.training
    assert (two.training.commit, two.training.dirty) == ("a" * 40, False)
    assert (two.scoring.commit, two.scoring.dirty, two.scoring.attempts) == ("b" * 40, True, 2)


def test_a_training_counts_all_its_attempts(tmp_path):
    """Fails when seconds of an attempt that was stopped are forgotten, or the scoring's are counted as training."""
    job = job_of(tmp_path)
    assert made(job, stop=lambda: True)[0] == "interrupted"
    spent, _ = job.run.folder(tmp_path).claims.spent_before(2)
    assert spent > 0
    assert made(job)[0] == "done"
    record = record_of(job)
    training, scoring = record.provenance.training, record.provenance.scoring
    assert training.attempts == scoring.attempts == 2
    assert training.seconds > spent
    assert training.device_seconds == training.seconds
    assert scoring.seconds < training.seconds
    assert 0 < record.costs.train_seconds < training.seconds


def test_what_trains_nothing_has_a_scoring_alone(tmp_path):
    """Fails when a training-free method is told to have been trained."""
    (run,) = plan(Request(("clip",), ("shapes-5i",), folds=(0,), limit=2))
    job = Job(run=run, root=tmp_path)
    assert made(job)[0] == "done"
    found = record_of(job).provenance
    assert found.training is None
    assert found.scoring.processor


def test_the_energy_is_of_the_gpu_that_computes(monkeypatch, tmp_path):
    """Fails when the GPU is looked up by its number among those that the process sees: NVML counts all of them."""
    import torch

    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {"GPU-ab-1": 5000}[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="ab-1"))
    clock = PhaseClock(replace(job_of(tmp_path), device="cuda"), SimpleNamespace(spent_before=lambda since: (0.0, 0.0)))
    assert clock._joules == 5.0
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert clock._energy() is None

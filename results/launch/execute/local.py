"""Runs jobs as local processes, a few at a time.

What came of a job is read from its folder, never from how its process ended. Jobs outlive a harness that is killed:
the next one finds them at work and waits, and `status` says that they go on alone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from results.launch.execute.processes import Handle, Processes, processes_for
from results.launch.run.job import Job
from results.launch.run.status import Status, status
from results.launch.run.worker import run_job
from results.store.claim import Claims, process_name
from results.store.files import refusal

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    job: Job
    status: Status


Watch = Callable[[list[tuple[Job, Status]], list[Outcome]], None]  # those at work, those that ended


def run_jobs(
    jobs: Sequence[Job],
    *,
    at_once: int,
    folder: Path,
    gpus: Sequence[str] = (),
    watch: Watch = lambda working, ended: None,
) -> list[Outcome]:
    """Run every job; returns how each ended. KeyboardInterrupt stops the running ones and waits for them.

    gpus: the names of those that are shared out among jobs of the device cuda (`visible_gpus`).
    """
    if not jobs:
        return []
    executor, ranks = _executor(folder, jobs), max(job.ranks for job in jobs)
    waiting: list[Job] = list(jobs)
    working: list[_Process] = []
    ended: list[Outcome] = []
    try:
        while waiting or working:
            while len(working) < at_once and (job := _next(waiting, working)):
                waiting.remove(job)
                slot = min(set(range(at_once)) - {p.slot for p in working})
                names = [gpus[(slot * ranks + i) % len(gpus)] for i in range(job.ranks)] if job.device == "cuda" else []
                working.append(_start(executor, job, slot, names))
            time.sleep(POLL_SECONDS)
            for process in [p for p in working if p.ended()]:
                working.remove(process)
                ended.append(Outcome(process.job, process.outcome()))
            watch([(p.job, status(p.job.run, p.job.root)) for p in working], ended)
    except KeyboardInterrupt:
        with _once_more_is_enough(working):
            ended += _stop(working)
        raise
    return ended


@dataclass
class _Process:
    """A job at work: in a process of ours, or, where somebody else has its folder, in theirs."""

    job: Job
    handle: Handle
    slot: int  # which of the places at work, and so which GPUs
    claims: Claims  # one object for as long as we watch: it times other machines' owners

    def ended(self) -> bool:
        """Has our process ended, and nobody else's is at the run?"""
        if not self.handle.ended():
            return False
        return not self.claims.held()

    def outcome(self) -> Status:
        """The run's state; a process that ended without a word is a failure that names its log."""
        reached = status(self.job.run, self.job.root)
        if reached.state in ("done", "failed", "stale"):
            return reached
        state = "failed" if reached.state == "planned" else reached.state
        full = refusal(self.job.root) if reached.state == "planned" else ""  # it could not even claim its folder
        reason = f"{full or reached.reason or 'its process ended without a word'}; log: {self.handle.log}"
        return replace(reached, state=state, reason=reason)


def _next(waiting: Sequence[Job], working: Sequence[_Process]) -> Job | None:
    """The first job of whose folder none is at work: weights are scored in one way after another."""
    busy = {process.job.run.train.folder for process in working}
    return next((job for job in waiting if job.run.train.folder not in busy), None)


def _executor(folder: Path, jobs: Sequence[Job]) -> Processes:
    first = jobs[0]  # of one grid: threads and device are those of all
    methods = [job.run.train.method for job in jobs]
    return processes_for(folder, jobs=len(jobs), threads=first.threads, device=first.device, methods=methods)


def visible_gpus(count: int) -> list[str]:
    """What to put into CUDA_VISIBLE_DEVICES for each GPU that torch sees: numbers, or ids where a person gave ids."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return (given.split(",") if given else [str(number) for number in range(count)])[:count]


def _run(job: Job, gpus: Sequence[str], waiter: str) -> str:
    """In the new process: see these GPUs alone. Ctrl-C is for the harness, which stops its jobs by SIGTERM."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return run_job(job, waiter, stop_at=(signal.SIGTERM,))


def _start(executor: Processes, job: Job, slot: int, gpus: Sequence[str]) -> _Process:
    waiter = process_name(os.getpid())
    return _Process(job, executor.submit(_run, job, gpus, waiter), slot, job.run.folder(job.root).claims)


@contextmanager
def _once_more_is_enough(working: list[_Process]) -> Iterator[None]:
    """A second Ctrl-C while jobs write their checkpoints ends them at once."""
    try:
        yield
    except KeyboardInterrupt:
        for process in working:
            process.handle.signal(signal.SIGTERM)
        raise


def _stop(working: list[_Process]) -> list[Outcome]:
    for process in working:
        process.handle.signal(signal.SIGTERM)
    while any(not process.handle.ended() for process in working):
        time.sleep(POLL_SECONDS)
    return [Outcome(process.job, process.outcome()) for process in working]

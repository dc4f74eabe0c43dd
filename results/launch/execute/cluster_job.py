"""What runs on a node: one job that stops at a signal, keeps its state on disk alone, and is queued again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import submitit
from submitit.core.utils import DelayedSubmission, UncompletedJobError

from results.launch.execute import scheduler
from results.launch.run.job import Job
from results.launch.run.ranks import Others, follow
from results.launch.run.rendezvous import Meeting
from results.launch.run.worker import work
from results.store.claim import Claim

STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


class ClusterJob:
    """One element of an array. `ticket`: its name, which no other job ever has."""

    def __init__(self, job: Job, ticket: str):
        self.job, self.ticket = job, ticket

    def __call__(self) -> str:
        """Make the run exist; returns the state it ended in. A run that had to stop is queued again.

        Of several tasks the first does that; the others train with it.
        """
        task, meeting = submitit.JobEnvironment().global_rank, self._meeting()
        with _stop_signals() as signals:
            if task > 0:
                assert meeting is not None, "a job of one rank is submitted as one task"
                return follow(self.job, meeting, task, lambda: bool(signals))
            state, lost = self._make(lambda: bool(signals), meeting)
        # a job without one of its ranks is ended by srun, and might lose it again: a person submits it again
        if state == "interrupted" and not lost and _to_be_requeued(signals):
            self._requeue()
        return state

    def _make(self, stop: Callable[[], bool], meeting: Meeting | None) -> tuple[str, bool]:
        """The state it ended in, and whether a rank was lost."""
        folder = self.job.run.folder(self.job.root)
        with Others(self.job, meeting) as others:
            # an earlier self on a dead node may still seem to be at it
            claim = folder.claims_of(self.ticket).claim_when_dead()
            state = "running" if claim is None else work(self.job, folder, claim, stop, others)
            return state, others.lost

    def _meeting(self) -> Meeting | None:
        """Where the ranks of this start of the job meet: beside its logs, which all its nodes see."""
        if self.job.ranks == 1:
            return None
        start = os.environ.get("SLURM_RESTART_COUNT", "0")
        return Meeting(submitit.JobEnvironment().paths.folder, f"start{start}")

    def checkpoint(self) -> DelayedSubmission:
        """A fresh copy: all state is on disk. submitit 1.5.4 looks for this name."""
        return DelayedSubmission(ClusterJob(self.job, self.ticket))

    def _requeue(self) -> None:
        """Leave it to submitit's own handler, which is in place again: it counts time limits, and exits."""
        try:
            signal.raise_signal(signal.SIGUSR2)
        except UncompletedJobError as error:
            self._note(" ".join(str(error).split()))
            raise
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            self._note(f"it could not be queued again: {error}")
            raise

    def _note(self, reason: str) -> None:
        folder = self.job.run.folder(self.job.root)
        claim: Claim | None = folder.claims_of(self.ticket).claim()
        if claim is None:
            return
        with claim:
            step = folder.read_state().get("step", 0)
            folder.write_state("interrupted", claim, reason=f"{reason} Submit it again to go on.", step=step)


def _to_be_requeued(signals: list[int]) -> bool:
    """USR2 asks for it. TERM alone comes with cancelling, preempting and `scontrol requeue` too: then SLURM does not
    call the job running any more and has decided itself; queueing a cancelled job again would raise the dead.
    """
    if signal.SIGUSR2 in signals:
        return True
    return scheduler.state_of(submitit.JobEnvironment().job_id) == "RUNNING"


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Signals that came. However many: SLURM repeats itself, and kills whoever takes too long."""
    came: list[int] = []

    def handler(number: int, _: object) -> None:
        came.append(number)

    kept: dict[int, Callable | int | None] = {n: signal.signal(n, handler) for n in STOP_SIGNALS}
    try:
        yield came
    finally:
        for number, old in kept.items():
            signal.signal(number, old)

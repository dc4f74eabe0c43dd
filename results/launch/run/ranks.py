"""The ranks of one run: rank 0 owns the run and calls the others, who train with it and write nothing.

On a cluster the others are tasks of the same job, on this machine processes that rank 0 starts (`rank_process`).
Torch is imported when they meet.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.launch.plan.request import Device
from results.launch.run.environment import job_variables
from results.launch.run.job import Job
from results.launch.run.rendezvous import Address, Meeting
from results.launch.run.staging import staged
from results.store.claim import LostClaim
from splits.errors import UserError

if TYPE_CHECKING:
    from benchmarks.training.ranks import Ranks

TIMEOUT = timedelta(minutes=30)  # one rank may draw the masks of a data set while the others wait for its step
POLL_SECONDS = 0.1
ARRIVED = "arrived"
RANK_PROCESS = "results.launch.run.rank_process"
END_SECONDS = 20.0  # for rank processes to end by themselves


class LostRank(Exception):
    """Another rank was killed, or its node died: nobody's mistake, and the run can go on from its checkpoint."""


class Others:
    """The other ranks, to rank 0 of a job: tasks of the same cluster job. A context: at its end nobody waits any more.

    meeting: None where the job has one rank.
    """

    def __init__(self, job: Job, meeting: Meeting | None):
        self._job, self._meeting = job, meeting
        self.lost = False  # has a rank ended without a word?

    def __enter__(self) -> Others:
        return self

    def __exit__(self, *_: object) -> None:
        if self._meeting is not None:
            with contextlib.suppress(OSError):
                self._meeting.over()

    @contextmanager
    def gathered(self) -> Iterator[Ranks]:
        """Train together within; alone where the job has one rank. Raises UserError where another rank has failed,
        LostRank where one is gone that has left no note.
        """
        from benchmarks.training.ranks import ALONE
        from benchmarks.training.train import Stopped

        if self._meeting is None:
            yield ALONE
            return
        try:
            with self._started(), _first(self._job, self._meeting, self._look) as ranks:
                yield ranks
        except LostRank:
            self.lost = True
            raise
        except (UserError, Stopped, LostClaim):
            raise
        except Exception as error:
            if not _lost_contact(error):
                raise  # our own
            self._meeting.wait_for_notes()
            self._look()
            self.lost = True
            raise LostRank(gone(self._silent(), self._job.ranks)) from error

    def _look(self) -> None:
        """Raise what has gone wrong with the other ranks, as far as is known."""
        if reason := self._meeting.blame() if self._meeting else "":
            raise UserError(reason)
        if failed := self._failed():
            raise UserError(failed)
        if killed := self._killed():
            raise LostRank(gone(killed, self._job.ranks))

    def _silent(self) -> list[int]:
        """The ranks that have left no note: whoever only lost the others leaves one."""
        heard = self._meeting.heard() if self._meeting else set()
        return [rank for rank in range(1, self._job.ranks) if rank not in heard]

    @contextmanager
    def _started(self) -> Iterator[None]:
        """The other ranks are at work or on their way within."""
        yield

    def _failed(self) -> str:
        """A rank that ended by itself without a note; empty where none is known to have."""
        return ""

    def _killed(self) -> list[int]:
        """The ranks that are known to have been ended by a signal."""
        return []


class LocalRanks(Others):
    """The other ranks as processes of this machine."""

    def __init__(self, job: Job):
        self._processes: list[subprocess.Popen[bytes]] = []
        super().__init__(job, None)

    def _codes(self) -> dict[int, int]:
        codes = {rank: process.poll() for rank, process in enumerate(self._processes, 1)}
        return {rank: code for rank, code in codes.items() if code}

    @contextmanager
    def _started(self) -> Iterator[None]:
        environment = os.environ | job_variables(self._job.threads)
        command = [sys.executable, "-m", RANK_PROCESS]
        try:
            for rank in range(1, self._job.ranks):
                # in a session of its own: Ctrl-C is for rank 0, which stops the others at the same step
                process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
                self._processes.append(process)
                assert process.stdin is not None
                process.stdin.write(pickle.dumps((self._job, self._meeting, rank)))
                process.stdin.flush()  # and left open: a rank whose rank 0 is gone reads the end, and ends
            yield
        finally:
            for process in self._processes:
                _end(process)

    def __enter__(self) -> LocalRanks:
        if self._job.ranks > 1:
            self._meeting = Meeting(Path(tempfile.mkdtemp(prefix="zss-ranks-")), "run")
        return self

    def __exit__(self, *_: object) -> None:
        if self._meeting is not None:
            for path in self._meeting.folder.iterdir():
                path.unlink()
            self._meeting.folder.rmdir()

    def _failed(self) -> str:
        return "; ".join(f"rank {rank} ended with exit code {code}" for rank, code in self._codes().items() if code > 0)

    def _killed(self) -> list[int]:
        return [rank for rank, code in self._codes().items() if code < 0]


def gone(ranks: Sequence[int], count: int) -> str:
    """What is said of ranks that were killed.

    >>> gone([1], 2), gone([2, 3], 4)
    ('rank 1 of 2 ended without a word', 'ranks 2, 3 of 4 ended without a word')
    """
    if not ranks:
        return f"the {count} ranks lost each other"
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))} of {count} ended without a word"


def follow(job: Job, meeting: Meeting, rank: int, stop: Callable[[], bool] = lambda: False) -> str:
    """A rank that is not the first: trains with the others where it is called. Returns how that ended; never raises.

    What goes wrong is left as a note, from which rank 0 makes the run's state.
    """
    from benchmarks.training.train import Stopped

    try:
        if job.scratch:
            job = replace(job, data=staged(job.data, job.scratch))
        if (address := meeting.wait()) is None:
            return "not needed"
        _train(job, address, rank, stop)
        return "trained"
    except Stopped:
        return "stopped"
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no message"]
        known = isinstance(error, UserError)
        reason = " ".join(lines) if known else f"{type(error).__name__}: {lines[0]}"
        if not known:
            traceback.print_exc()
        meeting.leave_note(rank, reason, own_fault=known or not _lost_contact(error))
        return "failed"


def _train(job: Job, address: Address, rank: int, stop: Callable[[], bool]) -> None:
    from benchmarks.training.acceleration import placed
    from benchmarks.training.checkpoint import Checkpoints
    from results.launch.run.training import built, set_up, trained

    def refuse(path: Path, data: bytes) -> None:
        raise AssertionError(f"rank {rank} must not write {path}")

    set_up(job.device, job.threads, half=job.half)
    _, method = built(job)
    folder = job.run.folder(job.root).path
    checkpoints = Checkpoints(folder, job.run.train.digest(), refuse)
    with _joined(job, address, rank, None) as ranks:
        placed(method, _device(job.device), job.run.train.recipe)
        trained(job, method, checkpoints, ranks, stop=stop)


@contextmanager
def _first(job: Job, meeting: Meeting, look: Callable[[], None]) -> Iterator[Ranks]:
    """Rank 0 with all others. look: raises what keeps one of them from coming."""
    from torch.distributed import TCPStore

    host = socket.gethostname() if job.nodes > 1 else "localhost"
    store = TCPStore(host, 0, None, is_master=True, timeout=TIMEOUT, wait_for_workers=False)  # it finds a free port
    address = Address(host, store.port)
    meeting.call(address)
    while store.add(ARRIVED, 0) < job.ranks - 1:
        look()
        time.sleep(POLL_SECONDS)
    with _joined(job, address, 0, store) as ranks:
        yield ranks


@contextmanager
def _joined(job: Job, address: Address, rank: int, store: Any) -> Iterator[Ranks]:
    """A member of the process group of all ranks within."""
    import torch.distributed as dist

    from benchmarks.training.ranks import Ranks

    if store is None:
        store = dist.TCPStore(address.host, address.port, None, is_master=False, timeout=TIMEOUT)
        store.add(ARRIVED, 1)
    backend = "gloo" if job.device == "cpu" else "nccl"
    if job.device != "cpu":
        _choose_gpu(rank % (job.ranks // job.nodes))
    leave = dist.destroy_process_group
    dist.init_process_group(backend, store=store, rank=rank, world_size=job.ranks, timeout=TIMEOUT)
    try:
        group = dist.group.WORLD if backend == "gloo" else dist.new_group(backend="gloo", timeout=TIMEOUT)
        yield Ranks(rank, job.ranks, group)
    except BaseException:
        if backend == "nccl":  # whose end waits for collectives that a rank which is gone will never join
            leave = dist.distributed_c10d._abort_process_group
        raise
    finally:
        leave()


def _choose_gpu(place: int) -> None:
    """The GPU of this rank on its node: where each task sees one alone, that one."""
    import torch

    count = torch.cuda.device_count()
    if count != 1 and place >= count:
        raise UserError(f"rank {place} of this node has no GPU: torch sees {count}; ask for one GPU a rank")
    torch.cuda.set_device(place if count > 1 else 0)


def _device(device: Device) -> Any:
    import torch

    return torch.device("cpu") if device == "cpu" else torch.device("cuda", torch.cuda.current_device())


def _lost_contact(error: Exception) -> bool:
    """Does an error only say that another rank is gone?"""
    from torch.distributed import DistError

    words = ("gloo", "NCCL", "onnection", "Socket Timeout")
    return isinstance(error, DistError | ConnectionError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()

"""One job at work: claims the run's folder, trains, scores, writes the record, and its state at the end.

Torch is imported only when work really begins.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from methods.custom import blamed
from results.launch.plan.method_copies import keep_method
from results.launch.run.data_state import DataStates
from results.launch.run.job import Job
from results.launch.run.out_of_memory import memory_words
from results.launch.run.ranks import LocalRanks, LostRank, Others
from results.launch.run.sharing import take
from results.launch.run.staging import staged
from results.launch.run.status import status
from results.store.claim import CLAIMS, Claim, LostClaim
from results.store.files import disk_words, sweep, write_atomically
from results.store.folders import ERROR, RunFolder
from results.store.provenance import sources_sha256
from splits.errors import Diverged, UserError


def run_job(job: Job, waiter: str = "", *, stop_at: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> str:
    """Make the run exist, unless somebody else is at it. Never raises for what a state can say.

    waiter: the process that waits for this one's end, where there is one (`process_name`).
    stop_at: the signals that stop it at its next step, and a second one at once.
    """
    folder = job.run.folder(job.root)
    try:
        claim = folder.claims.claim(waiter)
    except OSError as error:
        print(f"{folder.path}: cannot be claimed: {disk_words(error) or error}", file=sys.stderr)
        return "failed"
    if claim is None:
        return "running"
    with _stop_signals(stop_at) as stop, LocalRanks(job) as others:
        return work(job, folder, claim, stop, others)


def work(job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool], others: Others) -> str:
    """Make the run exist in a folder that is ours; `stop` is called at every step. Returns the state it ended in."""
    with claim:
        try:
            return _work(job, folder, claim, stop, others)
        except LostClaim:
            return "running"
        except LostRank as error:
            with suppress(OSError, LostClaim):
                folder.write_state("interrupted", claim, reason=str(error), **_reached(folder))
            return "interrupted"
        except KeyboardInterrupt:  # stopped twice: it goes on from the checkpoint before
            with suppress(OSError, LostClaim):
                folder.write_state("interrupted", claim, reason="stopped at once", **_reached(folder))
            return "interrupted"
        except BaseException as error:
            return _failed(job, folder, claim, error)


def _work(job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool], others: Others) -> str:
    job.custom.register()
    sweep(folder.path, besides=CLAIMS)
    if not job.force and _made(job):  # by another harness, since this one looked
        folder.write_state("done", claim)
        return "done"
    if job.force:
        _clear(_made_by(job), claim)
    folder.write_spec(job.run.train, claim)
    keep_method(folder.path, job.run.train.method, claim.check)
    if job.scratch:
        job = replace(job, data=staged(job.data, job.scratch))
    if take(job, folder, claim):
        folder.write_state("done", claim)
        return "done"
    from results.launch.run.make import make_record

    finished = make_record(job, folder, claim, stop, others)
    if finished:
        folder.write_state("done", claim)
        return "done"
    folder.write_state("interrupted", claim, reason="asked to stop", **_reached(folder))
    return "interrupted"


def _made(job: Job) -> bool:
    """Is its record there, sound, and of the data as they are? One that is not is made again."""
    try:
        data = None if job.scratch else DataStates(job.data, train=job.train).of(job.run)
        return status(job.run, job.root, data=data).state == "done"
    except OSError:
        return False


def clear(job: Job) -> None:
    """Throw away what a job would make, now; raises UserError where somebody is at it."""
    claim = job.run.folder(job.root).claims.claim()
    if claim is None:
        raise UserError(f"{job.run.name}: is being run; wait for its end, or stop it, before it is made anew")
    with claim:
        _clear(_made_by(job), claim)


def _made_by(job: Job) -> Path:
    folder = job.run.folder(job.root)
    return folder.path if job.train else folder.evaluation(job.run.evaluation)


def _failed(job: Job, folder: RunFolder, claim: Claim, error: BaseException) -> str:
    text = str(error).strip() or "no message"
    disk = disk_words(error) if isinstance(error, OSError) else ""
    method = job.run.train.method
    theirs = blamed(error, method)  # in the file of a method that was brought along, or over what came out of it
    memory = memory_words(error, job.run, trained=folder.trained() or not job.train)
    known = isinstance(error, UserError) or disk or memory  # the person's to mend: no stack trace
    told = disk or memory or text
    reason = " ".join(told.split()) if known else theirs or f"{type(error).__name__}: {text.splitlines()[0]}"
    try:
        if not known:
            write_atomically(folder.path / ERROR, traceback.format_exc().encode(), before_rename=claim.check)
        mendable = bool(known or theirs) and not isinstance(error, Diverged)
        details = _reached(folder) | {"mendable": mendable, "sources": _sources(method)}
        if not job.train:
            details["evaluation"] = job.run.evaluation.key
        folder.write_state("failed", claim, reason=reason, **details)
    except (OSError, LostClaim) as second:
        print(f"{folder.path}: {reason}; and the state could not be written: {second}", file=sys.stderr)
    return "failed"


def _sources(method: str) -> str:
    """sha256 of a method's code; empty where that cannot be told, which may be why a run failed."""
    with suppress(Exception):
        return sources_sha256(method)
    return ""


def _reached(folder: RunFolder) -> dict[str, Any]:
    return {"step": folder.read_state().get("step", 0)}


def _clear(folder: Path, claim: Claim) -> None:
    """Delete everything in a run's folder, or in that of one scoring, but the claims."""
    claim.check()
    for path in sorted(folder.rglob("*"), reverse=True):
        if CLAIMS in path.relative_to(folder).parts:
            continue
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


@contextmanager
def _stop_signals(numbers: Sequence[signal.Signals]) -> Iterator[Callable[[], bool]]:
    """Any of these, once: stop at the next step with a checkpoint. Twice: stop at once."""
    received: list[int] = []

    def handler(number: int, _: object) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt

    kept = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, old in kept.items():
            signal.signal(number, old)

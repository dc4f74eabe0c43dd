"""Several owners of one folder: two harnesses at once, owners that die or sleep, clocks that differ, no `fcntl`.

python -m tests.torture.concurrent            20 trials of 16 runs, 20 paused owners, 10 dead ones
python -m tests.torture.concurrent --short
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from results.store import claim as claims
from tests.torture.forks import fork_executor
from tests.torture.trials import (
    Row,
    dice,
    differences,
    ended,
    essence,
    forked,
    job_of,
    readable,
    script,
    timed,
    undisturbed,
    warm,
)

MINUTES = 60.0
BEAT, DEAD_AFTER = 0.2, 3.0  # seconds; short, and with room for a busy machine


def two_harnesses(folder: Path, count: int, seeds: int = 2) -> Row:
    """Two command lines over one folder: every run once, whatever each of them sees of the other."""
    runs = 8 * seeds
    with timed(Row(f"two harnesses at once on one folder, {runs} runs, clocks minutes apart, no fcntl")) as row:
        whole: dict[str, str] = {}
        for trial in range(count):
            root, chance = folder / f"both-{trial}", dice("both", trial)
            logs = [folder / f"both-{trial}-{side}.txt" for side in "ab"]
            first = _harness(root, seeds, logs[0], chance.uniform(-10, 10) * MINUTES)
            time.sleep(chance.choice((0, chance.uniform(0, 2))))
            second = _harness(root, seeds, logs[1], chance.uniform(-10, 10) * MINUTES)
            codes = [ended(pid) for pid in (first, second)]
            whole = whole or essence(root)
            row.add(_doubled(root, runs, codes, logs) or differences(whole, essence(root)))
    return row


def _harness(root: Path, seeds: int, log: Path, clock: float) -> int:
    numbers = [str(seed) for seed in range(seeds)]
    arguments = ["run", "--methods", "constant", "random", "--benchmarks", "shapes-5i", "--limit", "4"]
    arguments += ["--seeds", *numbers, "--jobs", "2", "--device", "cpu", "--runs", str(root)]

    def work() -> int:
        import harness

        _without_fcntl()
        real = time.time
        time.time = lambda: real() + clock
        with fork_executor():
            return harness.main(arguments)

    return forked(work, log)


def _without_fcntl() -> None:
    """As on a network file system without a lock daemon."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    for name in ("flock", "lockf", "fcntl"):
        setattr(fcntl, name, refuse)


def _doubled(root: Path, runs: int, codes: list[int | None], logs: list[Path]) -> str:
    from results.store.folders import Stored, find_stored

    if codes != [0, 0]:
        return f"the harnesses ended with {codes}: {[log.read_text()[-300:] for log in logs]}"
    found = list(find_stored(root))
    if len(found) != runs or not all(isinstance(item, Stored) for item in found):
        return f"{len(found)} records of {runs} runs: {[str(i) for i in found if not isinstance(i, Stored)][:2]}"
    attempts = [item.record.provenance.scoring.attempts for item in found if isinstance(item, Stored)]
    return "" if attempts == [1] * runs else f"made more than once: attempts {attempts}"


def _as_machine(name: str) -> None:
    """From here on this process's claims are those of another machine, where process ids say nothing."""
    claims.this_machine = lambda: name
    claims.BEAT_SECONDS, claims.DEAD_AFTER_SECONDS = BEAT, DEAD_AFTER


def _owner(job, machine: str) -> int:
    from results.launch.run.worker import run_job

    _as_machine(machine)
    return {"done": 0, "running": 4}.get(run_job(job), 3)


def _follower(job) -> int:
    """Waits until the owner is dead by its beat, then makes the run."""
    from results.launch.run.ranks import LocalRanks
    from results.launch.run.worker import work

    _as_machine("second")
    folder, start = job.run.folder(job.root), time.monotonic()
    claim = folder.claims.claim_when_dead()
    if claim is None:
        return 5
    if claim.number > 1 and time.monotonic() - start < DEAD_AFTER:
        return 6  # before its heartbeat could be known to have ended
    with LocalRanks(job) as others:
        return {"done": 0}.get(work(job, folder, claim, lambda: False, others), 3)


def paused_owners(folder: Path, count: int) -> Row:
    """SIGSTOP at a random moment; another machine takes over and finishes; SIGCONT: nothing may change any more."""
    with timed(Row("an owner paused, taken over after its heartbeat, then woken: it writes nothing more")) as row:
        whole = undisturbed("zegclip", folder / "whole-pause")
        trial = 0
        while row.trials < count and trial < 10 * count:
            root, log = folder / f"pause-{trial}", folder / f"pause-{trial}.txt"
            job = job_of("zegclip", root)
            pid = forked(lambda job=job: _owner(job, "first"), log)
            time.sleep(dice("pause", trial).uniform(0, whole.seconds))
            trial += 1
            os.kill(pid, signal.SIGSTOP)
            if not _owned(job):
                os.kill(pid, signal.SIGCONT)
                ended(pid)
                continue  # before its claim, or after its end
            code = ended(forked(lambda job=job: _follower(job), log))
            before = _everything(root)
            os.kill(pid, signal.SIGCONT)
            woken = ended(pid)
            problem = (
                "" if (code, woken) == (0, 4) else f"follower {code}, woken owner {woken}: {log.read_text()[-300:]}"
            )
            problem = problem or differences(before, _everything(root)) or differences(whole.files, essence(root))
            row.add(problem or readable(root))
    return row


def _owned(job) -> bool:
    current = job.run.folder(job.root).claims.current()
    return current is not None and not current[1].released and current[1].token != claims.UNREADABLE


def _everything(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()
    }


def dead_owners(folder: Path, count: int) -> Row:
    """kill -9 of an owner on another machine: taken over when its heartbeat has stood still, and not before."""
    with timed(Row("an owner on another machine killed: taken over after its heartbeat ends, not before")) as row:
        whole = undisturbed("constant", folder / "whole-dead")
        trial = 0
        while row.trials < count and trial < 10 * count:
            root, log = folder / f"dead-{trial}", folder / f"dead-{trial}.txt"
            job = job_of("constant", root)
            pid = forked(lambda job=job: _owner(job, "first"), log)
            time.sleep(dice("dead", trial).uniform(0, whole.seconds))
            trial += 1
            os.kill(pid, signal.SIGKILL)
            ended(pid)
            if not _owned(job):
                continue
            code = ended(forked(lambda job=job: _follower(job), log))
            problem = "" if code == 0 else f"follower {code}: {log.read_text()[-300:]}"
            row.add(problem or readable(root) or differences(whole.files, essence(root)))
    return row


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    with tempfile.TemporaryDirectory(prefix="zss-concurrent-") as name:
        folder = Path(name)
        if short:
            yield two_harnesses(folder, 1, seeds=1)
            return
        yield two_harnesses(folder, 20)
        yield paused_owners(folder, 20)
        yield dead_owners(folder, 10)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))

"""What the trials share: real jobs on the built-in world, cheap to start a thousand times, and how to compare them.

This process imports torch and warms its caches once; every trial is a fork of it, so that it costs a second and not
ten. What is forked runs the same `run_job`, or the same command line, as a person's does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

LIMIT = 10  # images and iterations: a checkpoint at every step
SEED = 20  # of the moments at which trials strike
CHEAPER = ("recipe.batch=2",)


@dataclass
class Row:
    """A line of the table: what was tried, how often, how often all was well."""

    what: str
    trials: int = 0
    survived: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""

    def add(self, problem: str) -> None:
        """Count a trial; `problem` is empty where it was survived."""
        self.trials += 1
        self.survived += not problem
        if problem:
            self.failures.append(problem)

    def line(self) -> str:
        """The trial in one line."""
        told = "".join(f"\n    {failure}" for failure in self.failures[:5])
        note = f" ({self.note})" if self.note else ""
        return f"{self.what}{note}: {self.survived} of {self.trials} survived, {self.seconds:.0f} s{told}"


@contextmanager
def timed(row: Row) -> Iterator[Row]:
    """Take the time of a row's trials, and print its line."""
    start = time.monotonic()
    try:
        yield row
    finally:
        row.seconds = time.monotonic() - start
        print(row.line(), flush=True)


def script(trials: Callable[..., Iterator[Row]], about: str | None, words: str = "") -> int:
    """The command line of one script of trials; exit code 1 where one was not survived.

    words: what is told of further words on the command line, where the script takes them.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few of each")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="gets the rows as JSON, one a line, as they come")
    if words:
        parser.add_argument("words", nargs="*", help=words)
    options = parser.parse_args()
    failed, further = False, [options.words] if words else []
    for row in trials(options.short, *further):
        failed |= row.survived < row.trials or not row.trials
        if options.rows:
            with open(options.rows, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row) | {"seconds": round(row.seconds)}) + "\n")
    return 1 if failed else 0


def dice(*axes: object) -> random.Random:
    """Chance that is the same in every repetition of one trial."""
    return random.Random(f"{SEED} {axes}")


def job_of(method: str, root: Path, *, fold: int = 0, limit: int = LIMIT, device: str = "cpu", ranks: int = 1):
    """A short real job of a method."""
    from results.launch.plan.request import Request
    from results.launch.plan.runs import plan
    from results.launch.run.job import Job

    trained = method not in ("constant", "random", "clip")
    (run,) = plan(
        Request(
            methods=(method,),
            benchmarks=("shapes-5i",),
            folds=(fold,),
            limit=limit,
            overrides=CHEAPER if trained else (),
            ranks=ranks,
        )
    )
    return Job(run, root, device=device)  # type: ignore[arg-type]


def warm() -> None:
    """Import what a job imports and fill the caches, without a backward pass: autograd does not survive a fork."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        from benchmarks.training.augmentation import Augmentation
        from benchmarks.training.transforms import _transforms
        from results.launch.run.worker import run_job

        _transforms(Augmentation())
        for method in ("constant", "clip"):
            assert run_job(job_of(method, Path(folder))) == "done"
    for module in ("zegclip", "distillation"):
        __import__(f"methods.{module}")


def forked(work: Callable[[], object], log: Path | None = None) -> int:
    """Do `work` in a child of this process; returns its process id. Exit code 0 where it returned."""
    sys.stdout.flush()
    # as a process that is started otherwise: no signal falls into what Python does around a fork
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    pid = os.fork()
    signal.pthread_sigmask(signal.SIG_SETMASK, kept)
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if log is not None:
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
        result = work()
        code = result if isinstance(result, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float | None = 600) -> int | None:
    """Wait for a child; its exit code, or minus the signal that ended it; None where it was killed for its time."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.005)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to: what it leaves, and how long it takes."""

    files: dict[str, str]
    seconds: float


def essence(root: Path) -> dict[str, str]:
    """What must repeat bit for bit below a root of runs: results, matrices, weights, and cards without times."""
    from benchmarks.values import digest
    from results.store.folders import load_record, read_json

    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.name == "record.json":
            found[name] = load_record(path).result.digest()
        elif path.name in ("confusion.npz", "model.safetensors", "spec.json"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "model.json":
            card = read_json(path)
            found[name] = digest(
                {k: v for k, v in card.items() if k not in ("seconds", "images_per_second", "training")}
            )
    return found


def undisturbed(method: str, folder: Path, **changes: int) -> Undisturbed:
    """Make the run in a child, twice: they must agree, and the second tells how long it takes."""
    from results.launch.run.worker import run_job

    made, seconds = [], 0.0
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("first", "second"):
        root = folder / method / name
        start = time.monotonic()
        job = job_of(method, root, **changes)
        pid = forked(lambda job=job: run_job(job) != "done", folder / "log.txt")
        if ended(pid) != 0:
            raise RuntimeError(f"the undisturbed run of {method} failed: {(folder / 'log.txt').read_text()[-500:]}")
        seconds = time.monotonic() - start
        made.append(essence(root))
    if made[0] != made[1]:
        raise RuntimeError(f"{method}: two undisturbed runs differ: {differences(*made)}")
    return Undisturbed(made[1], seconds)


def differences(expected: dict[str, str], got: dict[str, str]) -> str:
    """Which files differ, are missing or too many; empty where none does."""
    names = sorted(expected.keys() | got.keys())
    return ", ".join(n.split("/", 2)[-1] for n in names if expected.get(n) != got.get(n))


def readable(root: Path) -> str:
    """Read everything a person's commands would read after a fault; what cannot be read, in words."""
    from results.launch.plan.request import Run
    from results.launch.run.status import status
    from results.store.folders import CorruptRecord, Stored, find_stored

    for found in find_stored(root):
        if isinstance(found, CorruptRecord):
            return f"unreadable record: {found}"
        assert isinstance(found, Stored)
        state = status(Run(found.record.result.train, found.record.result.evaluation), root).state
        if state != "done":
            return f"a run with a record is {state}"
    return ""

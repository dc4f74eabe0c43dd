"""How long commands take, each in a process of its own, start included; nothing here waits for torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.speed.compare import Timing, summary
from tests.speed.process import Call, called, peak_mib
from tests.speed.synthetic import REFERENCE, write

SEEDS = ("0", "1", "2")  # of which the reference holds every run of the comparison
PLANNED = 10_000


@dataclass(frozen=True)
class Taken:
    """One line of the table."""

    what: str
    timing: Timing
    peak_mib: float
    target: float | None  # seconds to stay below
    runs: int | None = None  # finished runs that the command looked at

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        each = {} if self.runs is None else {"seconds_per_run": self.timing.processor / self.runs}
        return asdict(self) | each


def timings(repeats: int) -> Iterator[Taken]:
    """What was called, how long it took, and what to stay below."""
    yield _taken("--help", 0.3, repeats, "--help")
    yield _taken("list", 1.0, repeats, "list")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), 1000)
        yield _taken("tables of 1,000 records", 2.0, repeats, "tables", "--from", folder)
    with _finished() as folder:
        for seeds in (SEEDS[:1], SEEDS):
            asked = ("--methods", "all", "--benchmarks", "shapes-5i", "--seeds", *seeds, "--runs", folder)
            if not (runs := _all_done(called("status", *asked))):
                print(f"--methods all again: left out, the reference does not hold every run of seeds {seeds}")
                continue
            yield _taken(f"status of {runs} finished runs", None, repeats, "status", *asked, runs=runs)
            yield _taken(f"--methods all again, {runs} finished runs", 0.02 * runs, repeats, *asked, runs=runs)
    with tempfile.TemporaryDirectory() as folder:
        yield _plan(repeats, PLANNED, folder)


def growth() -> dict[str, dict[int, float]]:
    """Processor seconds of `tables` against records and of a plan against runs, their start included."""
    records, planned = {}, {}
    for count in (100, 1000, 4000):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), count)
            records[count] = called("tables", "--from", folder).processor
    for count in (100, 1000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            planned[count] = _plan(1, count, folder).timing.processor
    return {"tables against records": records, "plan against runs": planned}


def _plan(repeats: int, runs: int, folder: str) -> Taken:
    asked = ("--methods", "zegclip", "--benchmarks", "shapes-5i", "--folds", "0", "1", "2", "3", "--runs", folder)
    seeds = map(str, range(runs // 4))
    return _taken(f"plan of {runs:,} runs", None, repeats, *asked, "--dry-run", "--seeds", *seeds, runs=runs)


def _taken(what: str, target: float | None, repeats: int, *arguments: str, runs: int | None = None) -> Taken:
    calls = [called(*arguments) for _ in range(repeats)]
    timing = summary([(call.wall, call.processor) for call in calls])
    return Taken(what, timing, peak_mib(*arguments), target, runs)


def _all_done(status: Call) -> int:
    """How many runs there are if all are done, else 0: what is not done would be made."""
    runs, _, states = status.words.strip().rpartition("\n")[2].partition(" runs: ")
    return int(runs) if states == f"{runs} done" else 0


@contextmanager
def _finished() -> Iterator[str]:
    """A copy of the reference records, as a folder of runs."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(REFERENCE, folder, dirs_exist_ok=True)
        yield folder

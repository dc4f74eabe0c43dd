"""What a person sees while runs go on: live lines in a terminal, plain ones elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from results.launch.plan.request import Run
from results.launch.run.job import Job
from results.launch.run.status import Status
from splits.plain_text import plain

if TYPE_CHECKING:
    from benchmarks.catalogue import Data
    from results.launch.execute.local import Outcome


def bare_console() -> Console:
    """A console that may steer the terminal; what it prints of names has to be plain."""
    return Console(highlight=False, file=getattr(sys.stdout, "bare", sys.stdout))


class Display:
    """Follows `run_jobs`. Use as a context."""

    def __init__(self, total: int, console: Console | None = None):
        self._console = console or bare_console()
        self._total, self._printed, self._start = total, 0, time.monotonic()
        self._live = Live(console=self._console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def watch(self, working: list[tuple[Job, Status]], ended: list[Outcome]) -> None:
        """One plain line for each run that ended; live lines for those at work and the grid."""
        for outcome in ended[self._printed :]:
            self._printed += 1
            line = plain(f"[{self._printed}/{self._total}] {outcome.job.run.name}: {outcome.status.words}")
            self._console.print(line, markup=False, soft_wrap=True)
        if self._console.is_terminal:
            self._live.update(self._lines(working, len(ended)))

    def _lines(self, working: list[tuple[Job, Status]], ended: int) -> Table:
        grid = Table.grid(padding=(0, 2))
        for job, status in working:
            step = f"{status.step}/{status.iterations}" if status.iterations else ""
            rate = f"{status.rate:.0f} images/s" if status.rate else ""
            grid.add_row(
                "  " + plain(job.run.name), status.doing or status.state, step, rate, time_left(job.run, status)
            )
        grid.add_row(f"{ended} of {self._total} runs", f"{time.monotonic() - self._start:.0f} s")
        return grid


def time_left(run: Run, status: Status) -> str:
    """Seconds of training left at the rate measured; empty where none is known."""
    if not status.rate or not status.iterations:
        return ""
    return f"{(status.iterations - status.step) * run.train.recipe.batch / status.rate:.0f} s left"


def state_lines(rows: Sequence[tuple[Run, Status]]) -> list[str]:
    """A line for each run, for `status` and `--dry-run`."""
    lines = []
    for run, status in rows:
        parts = [f"{run.place:<60}", status.state]
        if status.state in ("running", "interrupted") and status.iterations:
            parts.append(f"step {status.step}/{status.iterations}")
            if status.rate:
                parts.append(f"{status.rate:.0f} images/s, {time_left(run, status)}")
        if status.reason:
            parts.append(f"({status.reason})")
        if status.shared:
            parts.append(status.shared)
        lines.append(plain("  ".join(parts)))
    return lines


def cost_lines(runs: Sequence[Run], root: Path, data: Data, *, train: bool = True, force: bool = False) -> list[str]:
    """What making these runs needs and takes, for `--dry-run`. root: of the runs whose hours are known.

    train, force: as of the command. What is there, or taken of a run under another name, is neither trained nor scored.
    """
    from results.launch.plan.estimates import expected, work
    from results.launch.run.readiness import unready
    from results.launch.run.sharing import remaining
    from results.store.places import shipped_records

    left = [part for run in runs if (part := remaining(run, root, train=train, force=force)) is not None]
    if not left:
        return ["nothing to train or to score"]
    return [*work(left, data), *unready(left), expected(left, root, data, shipped_records())]

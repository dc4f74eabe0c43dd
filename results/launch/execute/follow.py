"""Looks at a grid from time to time until nothing of it is queued or running."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.live import Live
from rich.text import Text

from results.launch.execute.display import bare_console, state_lines
from results.launch.execute.submission import Queue
from results.launch.plan.request import Run
from results.launch.run.status import Status
from splits.plain_text import plain

Rows = Sequence[tuple[Run, Status]]  # runs as they stand
AT_WORK = ("queued", "running")


def counted(rows: Rows) -> str:
    """How many runs are in which state."""
    counts = Counter(seen.state for _, seen in rows)
    return f"{len(rows)} runs: {', '.join(f'{n} {state}' for state, n in sorted(counts.items()))}"


def print_states(rows: Rows) -> None:
    """A line for each run, and how many are in which state."""
    print("\n".join([*state_lines(rows), counted(rows)]))


def watched(runs: Sequence[Run], root: Path, interval: float) -> Rows:
    """Follow runs until none is at work."""
    queue = Queue(root)

    def look() -> Rows:
        queue.look()
        return [(run, queue.status(run)) for run in runs]

    return follow(look, interval=interval)


def follow(look: Callable[[], Rows], *, interval: float) -> Rows:
    """Show every change until no run is at work; live in a terminal, a line for each change elsewhere."""
    console = bare_console()
    screen = Live(console=console, transient=True, auto_refresh=False)
    printed: dict[str, str] = {}
    rows = look()
    with screen if console.is_terminal else nullcontext():
        while True:
            if console.is_terminal:
                screen.update(Text("\n".join([*state_lines(rows), counted(rows)])), refresh=True)
            else:
                _print_changes(rows, printed)
            if not any(seen.state in AT_WORK for _, seen in rows):
                return rows
            time.sleep(interval)
            rows = look()


def _print_changes(rows: Rows, printed: dict[str, str]) -> None:
    for run, seen in rows:
        words = seen.words if seen.state != "running" else "running"
        if printed.get(run.place) != words:
            printed[run.place] = words
            print(plain(f"{run.name}: {words}"), flush=True)

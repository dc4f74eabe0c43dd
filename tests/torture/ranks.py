"""kill -9 at one of two ranks: the run says which is gone, leaves no process behind, and ends as if nothing had been.

python -m tests.torture.ranks            20 trials, rank 0 and rank 1 in turn, before and at every step
python -m tests.torture.ranks --short
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.torture.kill import finish, run_job_of
from tests.torture.trials import (
    LIMIT,
    Row,
    dice,
    ended,
    forked,
    job_of,
    script,
    timed,
    undisturbed,
    warm,
)

METHOD = "zegclip"
PATIENCE_SECONDS = 300.0


def children(pid: int) -> list[int]:
    """Living children of a process."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def lives(pid: int) -> bool:
    """Is a process there, and no mere remainder?"""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def at_step(pid: int, root: Path, step: int) -> int | None:
    """Wait until a run of two ranks has stored this step's checkpoint (0: until its second rank is started).

    Returns the process of rank 1; None where the run ended before.
    """
    end, other = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < end and lives(pid):
        other = next(iter(children(pid)), other)
        reached = [int(path.stem.partition("-")[2]) for path in root.rglob("checkpoint-*.pt")]
        if other is not None and max(reached, default=0) >= step:
            return other
        time.sleep(0.002)
    return None


def struck(root: Path, log: Path, victim: int, step: int, moment: float) -> str | None:
    """Kill one rank; the problem, empty where all is well, None where the run had ended before."""
    from results.launch.run.status import status

    job = job_of(METHOD, root, ranks=2)
    pid = forked(lambda: run_job_of(job), log)
    other = at_step(pid, root, step)
    if other is not None:
        time.sleep(moment)
        with suppress(ProcessLookupError):
            os.kill((pid, other)[victim], signal.SIGKILL)
    code = ended(pid)
    if other is None or code == 0:
        return None
    for _ in range(300):
        if not lives(other):
            break
        time.sleep(0.1)
    else:
        os.kill(other, signal.SIGKILL)
        return "rank 1 was left behind"
    seen = status(job.run, root)
    told = (seen.state, seen.reason)
    if told == ("planned", "") and victim == 0 and step == 0:
        return ""  # nothing had been written yet
    expected = ("interrupted", f"rank {victim} of 2 ended without a word")
    return "" if told == expected else f"the state was {told}, expected {expected}"


def killed_ranks(folder: Path, count: int) -> Row:
    """Rank 0 and rank 1 in turn, at steps drawn."""
    with timed(Row("kill -9 at rank 0 or rank 1 of --ranks 2, then the same again", note=METHOD)) as row:
        whole = undisturbed(METHOD, folder / "whole", ranks=2)
        trial = 0
        while row.trials < count and trial < 5 * count:
            root, log = folder / f"ranks-{trial}", folder / f"ranks-{trial}.txt"
            chance, victim = dice("ranks", trial), trial % 2
            step, moment = chance.randrange(LIMIT), chance.uniform(0, 0.5)
            trial += 1
            problem = struck(root, log, victim, step, moment)
            if problem is None:
                continue
            problem = problem or finish(job_of(METHOD, root, ranks=2), root, whole, log)
            row.add(problem and f"rank {victim} killed {moment:.2f} s after step {step}: {problem}")
    return row


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    with tempfile.TemporaryDirectory(prefix="zss-ranks-") as name:
        yield killed_ranks(Path(name), 2 if short else 20)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))

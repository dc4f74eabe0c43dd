"""kill -9 at random moments and at every write, then the same again: the records must be those of no kill at all.

python -m tests.torture.kill            100 trials at random moments, every write of two methods, 12 grids
python -m tests.torture.kill --short
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.torture.forks import fork_executor
from tests.torture.trials import (
    LIMIT,
    Row,
    Undisturbed,
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

METHODS = ("zegclip", "clip-to-seg", "constant")
GRID = ("constant", "clip", "zegclip")


def run_job_of(job) -> int:
    from results.launch.run.worker import run_job

    return 0 if run_job(job) == "done" else 3


def finish(job, root: Path, whole: Undisturbed, log: Path) -> str:
    """The same again after a fault; the problem, or nothing where all is as if there had been none."""
    if problem := readable(root):
        return f"after the fault: {problem}"
    code = ended(forked(lambda: run_job_of(job), log))
    if code != 0:
        return f"the same again ended with {code}: {log.read_text()[-300:]}"
    if problem := readable(root) or differences(whole.files, essence(root)):
        return f"differs: {problem}"
    left = [p.name for p in root.rglob(".*.tmp") if "claims" not in p.parts] + list(root.rglob("checkpoint-*"))
    return f"left behind: {left}" if left else ""


def at_random_moments(folder: Path, count: int, methods: tuple[str, ...] = METHODS) -> Row:
    """Strikes spread evenly over the time that a run takes."""
    with timed(Row("kill -9 at random moments of a run, then the same again", note=", ".join(methods))) as row:
        wholes = {method: undisturbed(method, folder / "whole") for method in methods}
        trial = 0
        while row.trials < count and trial < 10 * count:
            method = methods[trial % len(methods)]
            root, log = folder / f"random-{trial}", folder / f"random-{trial}.txt"
            job, whole = job_of(method, root), wholes[method]
            moment = dice("kill", trial).uniform(0, whole.seconds)
            trial += 1
            pid = forked(lambda job=job: run_job_of(job), log)
            time.sleep(moment)
            os.kill(pid, signal.SIGKILL)
            if ended(pid) != -signal.SIGKILL:
                continue  # it had ended before: no trial
            problem = finish(job, root, whole, log)
            row.add(problem and f"{method} killed after {moment:.2f} s: {problem}")
    return row


def killed_at(number: int, where: str) -> Callable[[], None]:
    """Install the death of this process at its n-th write: with half a draft, before the rename, or after it."""
    from results.store import files

    seen = 0
    replace, opened = os.replace, open

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counting_replace(source, target, **options) -> None:
        nonlocal seen
        seen += 1
        if where == "before" and seen == number:
            die()
        replace(source, target, **options)
        if where == "after" and seen == number:
            die()

    class Half:
        """A draft whose writer dies in the middle."""

        def __init__(self, *arguments):
            self.file = opened(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            if where == "half" and seen + 1 == number:
                self.file.write(data[: len(data) // 2])
                self.file.flush()
                die()
            self.file.write(data)

        def flush(self):
            self.file.flush()

        def fileno(self):
            return self.file.fileno()

    def install() -> None:
        files.os.replace = counting_replace  # type: ignore[assignment]
        files.open = Half  # type: ignore[attr-defined]

    return install


def at_every_write(folder: Path, methods: tuple[str, ...], limit: int = 4) -> Row:
    """Strikes before, within and after each write of a run, until there is no further one."""
    with timed(Row("kill -9 before, within and after each write of a run", note=", ".join(methods))) as row:
        for method in methods:
            whole = undisturbed(method, folder / "whole-writes", limit=limit)
            for where in ("before", "half", "after"):
                number = 1
                while True:
                    root = folder / f"{method}-{where}-{number}"
                    job, log = job_of(method, root, limit=limit), folder / f"{method}-{where}-{number}.txt"
                    install = killed_at(number, where)
                    code = ended(forked(lambda job=job, go=install: (go(), run_job_of(job))[1], log))
                    if code != -signal.SIGKILL:
                        break  # it has fewer writes
                    problem = finish(job, root, whole, log)
                    row.add(problem and f"{method} killed {where} write {number}: {problem}")
                    number += 1
    return row


def command(root: Path, *more: str) -> list[str]:
    """The command line of a grid with two jobs at once."""
    grid = ["run", "--methods", *GRID, "--benchmarks", "shapes-5i", "--folds", "0", "1", "--limit", str(LIMIT)]
    return [*grid, "--set", "recipe.batch=2", "--jobs", "2", "--device", "cpu", "--runs", str(root), *more]


def in_fork(arguments: list[str], log: Path) -> int:
    """The real command line in a child whose jobs are forks too; its process id."""

    def work() -> int:
        import harness

        with fork_executor():
            return harness.main(arguments)

    return forked(work, log)


def kill_tree(pid: int, whom: str) -> None:
    """The harness, one of its jobs, or all."""
    children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    chosen = {"harness": [pid], "job": children[:1] or [pid], "all": [pid, *children]}[whom]
    for victim in chosen:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def grids(folder: Path, count: int) -> Row:
    """Kills in a grid of `--jobs 2`: of the harness alone, of one job, of all. Then the same command line again."""
    with timed(Row("kill -9 in grids of --jobs 2 (harness, one job, or all), then the same command")) as row:
        start = time.monotonic()
        if ended(in_fork(command(folder / "whole-grid"), folder / "grid.txt")) != 0:
            raise RuntimeError((folder / "grid.txt").read_text()[-500:])
        seconds, whole = time.monotonic() - start, essence(folder / "whole-grid")
        trial = 0
        while row.trials < count and trial < 10 * count:
            whom = ("harness", "job", "all")[trial % 3]
            root, log = folder / f"grid-{trial}", folder / f"grid-{trial}.txt"
            moment = dice("grid", trial).uniform(0, seconds)
            trial += 1
            pid = in_fork(command(root), log)
            time.sleep(moment)
            with suppress(FileNotFoundError):
                kill_tree(pid, whom)
            first = ended(pid)
            if first == 0:
                continue  # nothing was hit
            code = ended(in_fork(command(root, "--retry"), log))
            problem = "" if code == 0 else f"ended with {code}: {log.read_text()[-300:]}"
            problem = problem or readable(root) or differences(whole, essence(root))
            row.add(problem and f"{whom} killed after {moment:.2f} s: {problem}")
    return row


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    with tempfile.TemporaryDirectory(prefix="zss-kill-") as name:
        folder = Path(name)
        if short:
            yield at_random_moments(folder, 3, ("constant", "zegclip"))
            return
        yield at_random_moments(folder, 100)
        yield at_every_write(folder, METHODS[:2])
        yield grids(folder, 12)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))

"""kill -9 of real command lines, `python harness.py run ...`, in all their phases; then the same command again.

python -m tests.torture.commands            21 runs of three methods, 6 grids of --jobs 2
python -m tests.torture.commands --short
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from results.store.claim import CLAIMS, UNREADABLE, Claims
from results.store.places import PROJECT
from tests.torture.trials import LIMIT, Row, dice, differences, essence, readable, script, timed

METHODS = ("zegclip", "clip-to-seg", "constant")
GRID = ("zegclip", "constant", "clip")
WHOM = ("its process", "harness and all", "the harness alone")
SECONDS = 600.0  # for one command, on a machine that does other things


def command(root: Path, *methods: str, jobs: int = 1) -> list[str]:
    """The command line."""
    grid = ["run", "--methods", *methods, "--benchmarks", "shapes-5i", "--folds", "0", "--limit", str(LIMIT)]
    cheaper = ["--set", "recipe.batch=2"] if set(methods) - {"constant"} else []  # it has no recipe of its own
    return [*grid, *cheaper, "--jobs", str(jobs), "--device", "cpu", "--runs", str(root)]


def begun(arguments: list[str], log: Path) -> subprocess.Popen:
    """The command in a process of its own, which leads a group of its own."""
    with open(log, "a", encoding="utf-8") as told:
        return subprocess.Popen(
            [sys.executable, "harness.py", *arguments],
            cwd=PROJECT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=told,
            stderr=told,
            start_new_session=True,
        )


def done(arguments: list[str], log: Path) -> int:
    """The command to its end; its exit code."""
    return begun(arguments, log).wait(SECONDS)


@dataclass(frozen=True)
class Moment:
    """When to strike: as soon as `come` finds something below a root, and a little later."""

    name: str
    come: Callable[[Path], bool]
    later: float = 0.0  # seconds at most

    def wait(self, root: Path, process: subprocess.Popen, chance: Random) -> None:
        """Until then, or until the process ends."""
        while process.poll() is None and not self.come(root):
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, self.later))


def _any(pattern: str) -> Callable[[Path], bool]:
    return lambda root: next(root.glob(f"*/*/*/{pattern}"), None) is not None


def moments(seconds: float) -> tuple[Moment, ...]:
    """Over a run that takes so many seconds once it is at work: each phase, and any moment."""
    return (
        Moment("training", _any("checkpoint-1.pt"), seconds / 4),
        Moment("writing a checkpoint", _any(".checkpoint-*.tmp")),
        Moment("scoring", _any("model.json"), seconds / 4),
        Moment("writing the record", _any("evals/*/spec.json"), 0.01),
        Moment("any moment", _any("state.json"), seconds),
    )


def owners(root: Path) -> list[tuple[Path, int]]:
    """The runs that are at work below a root, and their process ids."""
    found = []
    for folder in root.glob("*/*/*"):
        current = Claims(folder).current() if (folder / CLAIMS).is_dir() else None
        if current and not current[1].released and current[1].token != UNREADABLE:
            found.append((folder, current[1].pid))
    return found


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in descendants(int(child)))]


def strike(process: subprocess.Popen, root: Path, whom: str, chance: Random) -> str:
    """Kill -9; in which phase it struck a run that was at work, or nothing where it struck none."""
    everybody = descendants(process.pid)
    at_work = owners(root)
    if not at_work:
        return ""
    folder, pid = chance.choice(at_work)
    victims = {"its process": [pid], "the harness alone": [process.pid], "harness and all": everybody}[whom]
    for victim in (v for v in victims if v in everybody):
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    for left in folder.rglob(".*.tmp"):
        if CLAIMS not in left.parts:
            return f"writing {left.name.split('.')[1].rstrip('-0123456789')}"
    if any(folder.rglob("record.json")):
        return "ending"
    if (folder / "model.json").exists():
        return "scoring"
    return "training" if any(folder.glob("checkpoint-*")) else "loading"


def struck(
    arguments: list[str], folder: Path, name: str, moment: Moment, whom: str, whole: dict[str, str]
) -> tuple[str, str]:
    """One trial: the phase that was struck (nothing: no trial), and the problem (nothing: survived)."""
    root, log, chance = folder / name, folder / f"{name}.txt", dice("commands", name)
    root.mkdir()
    arguments = [*arguments[:-1], str(root)]
    process = begun(arguments, log)
    moment.wait(root, process, chance)
    phase = strike(process, root, whom, chance)
    if whom == "its process":
        process.wait(SECONDS)  # the harness tells of a run that ended without a word, and makes the others
    elif not phase:
        return "", "" if process.wait(SECONDS) == 0 else f"undisturbed, yet: {log.read_text()[-300:]}"
    problem = readable(root) if whom == "harness and all" else ""
    process.wait(SECONDS)
    code = done(arguments, log)
    if code != 0:
        return phase, f"the same again ended with {code}: {log.read_text()[-300:]}"
    text = log.read_text()
    return phase, problem or ("a stack trace" * ("Traceback" in text)) or readable(root) or _left(root, whole)


def _left(root: Path, whole: dict[str, str]) -> str:
    left = [p.name for p in root.rglob(".*.tmp") if CLAIMS not in p.parts] + list(root.rglob("checkpoint-*"))
    return differences(whole, essence(root)) or (f"left behind: {left}" if left else "")


def undisturbed(arguments: list[str], folder: Path) -> tuple[dict[str, str], float]:
    """What the command leaves when nothing happens to it, and how long its runs take once at work."""
    root, log = folder / "whole", folder / "whole.txt"
    folder.mkdir(parents=True)
    process, start = begun([*arguments[:-1], str(root)], log), 0.0
    while process.poll() is None:
        if not start and root.is_dir() and _any("state.json")(root):
            start = time.monotonic()
        time.sleep(0.01)
    if process.returncode != 0:
        raise RuntimeError(f"the undisturbed command failed: {log.read_text()[-500:]}")
    return essence(root), time.monotonic() - start


def runs(folder: Path, count: int, methods: tuple[str, ...] = METHODS) -> Row:
    """Single runs of each method, struck in each phase."""
    return _struck(
        "python harness.py run killed with -9, then the same command", folder, count, [(m,) for m in methods]
    )


def grids(folder: Path, count: int) -> Row:
    """Grids of two jobs at once."""
    return _struck("the same with a grid of three runs, --jobs 2", folder, count, [GRID], jobs=2)


def _struck(what: str, folder: Path, count: int, grids: list[tuple[str, ...]], jobs: int = 1) -> Row:
    phases: Counter[str] = Counter()
    with timed(Row(what)) as row:
        commands = {grid: command(Path(), *grid, jobs=jobs) for grid in grids}
        wholes = {grid: undisturbed(words, folder / "-".join(grid)) for grid, words in commands.items()}
        trial = 0
        while row.trials < count and trial < 10 * count:
            grid, whom = grids[trial % len(grids)], WHOM[(trial // len(grids)) % len(WHOM)]
            whole, seconds = wholes[grid]
            at = moments(seconds)[trial % 5]
            phase, problem = struck(commands[grid], folder, f"trial-{trial}", at, whom, whole)
            trial += 1
            if phase or problem:
                phases[phase] += 1
                row.add(problem and f"{grid}, {whom} killed while {phase} ({at.name}): {problem}")
        row.note = ", ".join(f"{phase} {number}" for phase, number in phases.most_common())
    return row


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    with tempfile.TemporaryDirectory(prefix="zss-commands-") as name:
        if short:
            yield runs(Path(name, "runs"), 1, ("constant",))
            return
        yield runs(Path(name, "runs"), 21)
        yield grids(Path(name, "grids"), 6)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))

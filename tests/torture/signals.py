"""Ctrl-C and SIGTERM: once stops cleanly with the command to go on, twice stops at once; the same again goes on.

python -m tests.torture.signals [--short]
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture.kill import command, in_fork
from tests.torture.trials import Row, dice, differences, ended, essence, readable, script, timed, warm

STOPS = {"SIGINT once": [signal.SIGINT], "SIGINT twice": [signal.SIGINT] * 2}
BETWEEN = 0.3  # seconds between two signals of one person


def stopped_grids(folder: Path, count: int) -> Row:
    """Grids stopped by a person at random moments."""
    with timed(Row("Ctrl-C once or twice in a grid of --jobs 2, then the same command again")) as row:
        start = time.monotonic()
        if ended(in_fork(command(folder / "whole"), folder / "whole.txt")) != 0:
            raise RuntimeError((folder / "whole.txt").read_text()[-500:])
        seconds, whole = time.monotonic() - start, essence(folder / "whole")
        trial = 0
        while row.trials < count and trial < 10 * count:
            root, log, chance = folder / f"{trial}", folder / f"{trial}.txt", dice("signal", trial)
            kind = list(STOPS)[trial % len(STOPS)]
            trial += 1
            pid = in_fork(command(root), log)
            _begun(root)
            time.sleep(chance.uniform(0, seconds / 2))
            code = _stop(pid, STOPS[kind])
            if code == 0:
                continue  # it had ended before
            problem = _told(code, log, root) or _again(root, log, whole)
            row.add(problem and f"{kind}: {problem}")
    return row


def _begun(root: Path) -> None:
    """Wait until its first job is at work: before that there is nothing to stop but the command itself."""
    end = time.monotonic() + 120
    while not any(root.rglob("state.json")) and time.monotonic() < end:
        time.sleep(0.01)


def _stop(pid: int, signals: list[signal.Signals]) -> int | None:
    for number in signals:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        time.sleep(BETWEEN)
    return ended(pid)


def _told(code: int | None, log: Path, root: Path) -> str:
    text = log.read_text()
    if code != 130:
        return f"exit code {code}: {text[-300:]}"
    if "to go on: python" not in text:
        return f"not told how to go on: {text[-300:]}"
    if "Traceback" in text:
        return f"a stack trace: {text[-300:]}"
    return readable(root)


def _again(root: Path, log: Path, whole: dict[str, str]) -> str:
    code = ended(in_fork(command(root), log))
    return f"the same again: {code}" if code != 0 else differences(whole, essence(root))


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    with tempfile.TemporaryDirectory(prefix="zss-signals-") as name:
        yield stopped_grids(Path(name), 1 if short else 20)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))

"""Broken and hostile input for every reader: a UserError in one line or a right reading, nothing else, and no hang.

python -m tests.torture.fuzz                   10,000 inputs to each reader
python -m tests.torture.fuzz --short
python -m tests.torture.fuzz COCO overrides    to those whose name has such a word
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from splits.errors import UserError
from tests.torture import custom_files, readers
from tests.torture.readers import Reader
from tests.torture.trials import SEED, Row, script, timed

READERS = readers.READERS | custom_files.READERS
SECONDS = 60  # for one input, on a machine that does other things


def _refusal(read: Reader, drawn: Any) -> list[str]:
    """The lines that an input was refused in; none where it was read."""
    try:
        read(drawn)
    except UserError as error:
        return str(error).splitlines()
    return []


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """An input that takes too long is a failure, not the end of the trials."""

    def handler(*_: object) -> None:
        raise TimeoutError(f"one input took more than {SECONDS} s")

    kept = signal.signal(signal.SIGALRM, handler)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, kept)


def fuzzed(name: str, count: int) -> Row:
    """So many inputs to one reader."""
    with tempfile.TemporaryDirectory(prefix="zss-fuzz-") as made, timed(Row(f"broken and hostile {name}")) as row:
        folder = Path(made, "here")
        folder.mkdir()
        with _surroundings(folder):
            strategy, read = READERS[name](folder)

            def one(drawn: Any) -> None:
                row.trials += 1
                with no_hang():
                    lines = _refusal(read, drawn)
                assert len(lines) <= 1, lines
                outside = sorted(os.listdir(made))
                assert outside == ["here"], f"written outside: {outside}"
                row.survived += 1

            quiet = settings(
                max_examples=count,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
            )
            try:
                seed(SEED)(quiet(given(strategy)(one)))()
            except Exception as error:
                for one_of in getattr(error, "exceptions", [error]):
                    notes = " ".join(getattr(one_of, "__notes__", []))
                    row.failures.append(f"{type(one_of).__name__}: {one_of} {notes}"[:600])
    return row


@contextlib.contextmanager
def _surroundings(folder: Path) -> Iterator[None]:
    """A working folder and a cache of its own, no data root, and no warnings on the screen."""
    kept, where = dict(os.environ), os.getcwd()
    os.environ["ZSS_CACHE"] = str(folder / "cache")
    os.environ.pop("ZSS_DATA_ROOT", None)
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(kept)


def main(short: bool, words: Sequence[str] = ()) -> Iterator[Row]:
    """All of it, or those readers whose name has one of these words."""
    for name in READERS:
        if not words or any(word in name for word in words):
            yield fuzzed(name, 150 if short else 10_000)


if __name__ == "__main__":
    sys.exit(script(main, __doc__, words="only readers whose name has such a word"))

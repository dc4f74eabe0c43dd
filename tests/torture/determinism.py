"""`check-determinism` of every method: again, with loader processes, stopped and gone on with, at checkpoints too.

python -m tests.torture.determinism            every method, gone on with at every step; two of them at every k-th
python -m tests.torture.determinism --short
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Sequence

from tests.torture.trials import Row, script, timed

COSTLY = ("zegclip", "clip-to-seg")  # those that are looked at from all sides


def checked(method: str, *more: str) -> list[tuple[str, bool]]:
    """What `check-determinism` says of a method: its lines, and whether each says the same."""
    import harness

    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = harness.main(["check-determinism", "--device", "cpu", "--method", method, *more])
    lines = [(line, ": the same, " in line) for line in said.getvalue().splitlines()]
    if code != (not all(same for _, same in lines)) or not lines:
        lines.append((f"{method}: exit code {code}: {told.getvalue()[-300:]}", False))
    return lines


def every_method(methods: Sequence[str], limit: int) -> Row:
    """All ways of each method."""
    with timed(
        Row("a method trained and scored another way, all bits compared", note=f"{len(methods)} methods")
    ) as row:
        for method in methods:
            for line, same in checked(method, "--limit", str(limit), "--resume-every", "1"):
                row.add("" if same else line)
    return row


def every_k(methods: Sequence[str], limit: int) -> Row:
    """Stopped and gone on with at every k-th step, for each k; and one, two and three loader processes."""
    note = f"{', '.join(methods)}; k from 1 to {limit - 1}, 1 to 3 loader processes"
    with timed(Row("the same at every k-th step, with more loader processes", note=note)) as row:
        for method in methods:
            for k in range(1, limit):
                counts = ("1", "2", "3")[: 3 if k == 1 else 0]
                more = ("--limit", str(limit), "--resume-every", str(k), "--worker-counts", *counts)
                for line, same in checked(method, *more, "--set", "recipe.batch=2"):
                    row.add("" if same else line)
    return row


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    from methods.registry import METHODS

    if short:
        yield every_method(("constant",), 3)
        return
    yield every_method(tuple(METHODS), 3)
    yield every_k(COSTLY, 6)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))

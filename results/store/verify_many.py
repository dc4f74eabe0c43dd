"""`results verify` over many records: each looked at in one of several processes, nothing of it kept but what is wrong.

Records of one run are compared with one another at the end: only those that share a run are read again for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.parallel import mapped
from benchmarks.values import digest
from results.store.folders import CorruptRecord, Stored, load_stored, record_paths, unreadable_words
from results.store.identity import row_key
from results.store.verify import copies, wrong_with


@dataclass(frozen=True)
class Looked:
    """What one look at a record found."""

    path: Path
    lines: tuple[str, ...]  # what is wrong
    runs: tuple[str, ...] = ()  # of a sound record: digests that only records of the same run share


def look(path: Path) -> Looked:
    """Read one record and compute its numbers again."""
    found = load_stored(path)
    if isinstance(found, CorruptRecord):
        return Looked(path, (str(found),))
    if lines := wrong_with(found):
        return Looked(path, tuple(lines))
    result = found.record.result
    row = digest([*map(str, row_key(found.record)), result.evaluation.fold, result.train.seed])
    return Looked(path, (), (f"{result.train.digest()} {result.evaluation.digest()}", row))


def problems_below(roots: Sequence[Path], jobs: int) -> Iterator[str | int]:
    """One line for each thing that is wrong below these roots, duplicates and conflicts last; then how many were seen.

    jobs: processes.
    """
    count = 0
    sound: list[Looked] = []
    for root in roots:
        for words in unreadable_words(root):
            count += 1
            yield words
        for looked in mapped(look, record_paths(root), jobs=jobs):
            count += 1
            yield from looked.lines
            if not looked.lines:
                sound.append(looked)
    shared = Counter(run for looked in sound for run in looked.runs)
    again = [load_stored(looked.path) for looked in sound if any(shared[run] > 1 for run in looked.runs)]
    yield from copies([found for found in again if isinstance(found, Stored)])
    yield count

"""Which rows of a table hold stale runs, and the line under it that says what has changed since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.spec import TrainSpec
from methods.registry import METHODS
from results.store.data_changes import BODY, DATA, SOURCES
from results.store.record import RunRecord
from results.store.staleness import changed_since
from results.tables.table import STALE


def stale_names(variants: Mapping[str, Iterable[RunRecord]], stale: frozenset[str]) -> list[str]:
    """The rows with a run among these folders. variants: the records of each row, by its name."""
    return [name for name, runs in variants.items() if any(run.result.train.folder in stale for run in runs)]


def stale_notes(records: Sequence[RunRecord], stale: frozenset[str]) -> Iterator[str]:
    """A line for each kind of change, with how many runs of which row; none where no run is stale."""
    found = [record.result for record in records if record.result.train.folder in stale]
    if not found:
        return
    known = changed_since(records)  # what is sound by itself and beside these was compared with the data that lie there
    for what in (SOURCES, BODY, DATA):
        counts = Counter(result.label for result in found if _why(result.train, known) == what)
        if which := ", ".join(f"{label}: {count}" for label, count in sorted(counts.items())):
            yield f"{STALE} stale: {what} have changed since (runs of {which})."


def _why(train: TrainSpec, known: Mapping[str, str]) -> str:
    return known.get(train.folder, DATA if train.method in METHODS else SOURCES)

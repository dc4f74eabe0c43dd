"""Stored records by method, benchmark and setting, for all that only looks at records. No torch, no data."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from results.store.data_changes import of_older_data
from results.store.folders import CorruptRecord, Stored, find_stored, recipe_named, unfinished
from results.store.lean import Lean
from results.store.provenance import is_stale
from results.store.quick_check import Arrays, looked_at
from results.store.record import RunRecord
from splits.errors import UserError
from splits.plain_text import plain
from splits.settings import Setting


@dataclass(frozen=True)
class Selection:
    """Which stored records to look at; an empty choice is every one."""

    roots: tuple[Path, ...]
    methods: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()  # they are scored on
    settings: tuple[Setting, ...] = ()

    def has(self, benchmark: str, method: str) -> bool:
        """Is this method on this benchmark among it?"""
        return method in (self.methods or (method,)) and benchmark in (self.benchmarks or (benchmark,))

    def has_record(self, record: RunRecord) -> bool:
        """Is this record among it?"""
        train, setting = record.result.train, record.result.train.side.setting
        return self.has(record.result.evaluation.benchmark, train.method) and setting in (self.settings or (setting,))


@dataclass(frozen=True)
class Selected:
    """The records of a selection, and the runs of it that have none."""

    stored: tuple[Stored, ...]
    states: dict[str, str]  # of runs without a record: folder -> state and reason
    recipes: dict[str, str] = field(default_factory=dict)  # of the same: folder -> name of the recipe

    @cached_property
    def records(self) -> list[RunRecord]:
        """The records alone."""
        return [stored.record for stored in self.stored]

    @cached_property
    def stale(self) -> frozenset[str]:
        """Folders of the runs that were made with other sources of their method, or of data that have changed since."""
        sources = frozenset(record.result.train.folder for record in self.records if is_stale(record))
        return sources | of_older_data(self.records)

    def confusion(self, record: RunRecord) -> Path:
        """The file of a record's confusion matrices."""
        return self._by_counts[record.result.confusion_sha256].confusion

    @cached_property
    def _by_counts(self) -> dict[str, Stored]:
        return {s.record.result.confusion_sha256: s for s in self.stored}


Look = Callable[[RunRecord, Arrays], None]


def select(
    selection: Selection, *, may_be_empty: bool = False, every_loss: bool = True, looks: Sequence[Look] = ()
) -> Selected:
    """Everything of a selection; what cannot be trusted is named on stderr. Raises UserError where there is nothing.

    may_be_empty: then nothing is an answer, too. every_loss: else only the sums of the losses of trainings are
    kept, and no record can be written or compared field by field. looks: what is to be taken from the counts of each
    selected record while they are in hand; the arrays are let go then.
    """
    stored: list[Stored] = []
    states: dict[str, str] = {}
    recipes: dict[str, str] = {}
    lean = Lean(every_loss=every_loss)
    for root in selection.roots:
        if not root.is_dir():
            if may_be_empty:
                continue
            raise UserError(f"{root} is no folder of runs; give one with --from, or run something first")
        for found, arrays in _readable(root, lean):
            if selection.has_record(found.record):
                stored.append(found)
                for look in looks if arrays else ():
                    look(found.record, arrays)
        waiting = {folder: words for folder, words in unfinished(root).items() if selection.has(*folder.split("/")[:2])}
        states |= waiting
        recipes |= {folder: recipe_named(root / folder) for folder in waiting}
    if not stored and not states and not may_be_empty:
        raise UserError(f"no record in {', '.join(map(str, selection.roots))} fits; `status` says what has been run")
    return Selected(tuple(stored), states, recipes)


def _readable(root: Path, lean: Lean) -> Iterator[tuple[Stored, Arrays]]:
    """What can be trusted, as far as a quick look tells, in little memory; and its counts, where they are in hand."""
    for found in find_stored(root):
        if isinstance(found, CorruptRecord):
            print(plain(f"left out: {found}"), file=sys.stderr)
            continue
        wrong, arrays = looked_at(found)
        if wrong:
            print(plain(f"left out: {found.path}: {wrong}; `results verify` lists all"), file=sys.stderr)
        else:
            yield Stored(lean(found.record), found.path), arrays


@contextmanager
def settled() -> Iterator[None]:
    """What lives now is passed over by the garbage collection meanwhile: records stay, figures made of them do not."""
    was = gc.isenabled()
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not was:
            gc.disable()


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: with thousands of live records each pass over them costs more than reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

"""Stored records by method, benchmark and setting, for all that only looks at records. No torch, no data."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from benchmarks.data.parallel import mapped
from results.store.data_changes import Read, reads
from results.store.folders import (
    CorruptRecord,
    Stored,
    load_stored,
    recipe_named,
    record_paths,
    unfinished,
    unreadable_words,
)
from results.store.lean import Lean
from results.store.quick_check import Arrays, looked_at
from results.store.record import RunRecord
from results.store.staleness import changed_since
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
    beside: tuple[Read, ...] = ()  # what the records there that are not selected were made with

    @cached_property
    def records(self) -> list[RunRecord]:
        """The records alone."""
        return [stored.record for stored in self.stored]

    @cached_property
    def stale(self) -> frozenset[str]:
        """Folders of the runs whose method sources, body weights or data have changed since."""
        return frozenset(changed_since(self.records, self.beside))

    def confusion(self, record: RunRecord) -> Path:
        """The file of a record's confusion matrices."""
        return self._by_counts[record.result.confusion_sha256].confusion

    @cached_property
    def _by_counts(self) -> dict[str, Stored]:
        return {s.record.result.confusion_sha256: s for s in self.stored}


Take = Callable[[RunRecord, Arrays], Any]
MANY = 512  # records for each process that reads them: it imports for half a second first


class Look(Protocol):
    """Takes something from the counts of each record while they are in hand, in the process that reads them."""

    @staticmethod
    def take(record: RunRecord, found: Arrays, /) -> Any:
        """From one record and its counts, in few bytes: it may be sent from process to process."""

    def keep(self, record: RunRecord, taken: Any, /) -> None:
        """Here, what was taken of one record."""


def select(
    selection: Selection,
    *,
    may_be_empty: bool = False,
    every_loss: bool = True,
    looks: Sequence[Look] = (),
    jobs: int = 1,
) -> Selected:
    """Everything of a selection; what cannot be trusted is named on stderr. Raises UserError where there is nothing.

    may_be_empty: then nothing is an answer, too. every_loss: else only the sums of the losses of trainings are
    kept, and no record can be written or compared field by field. looks: what is to be taken from the counts of each
    selected record while they are in hand; the arrays are let go then. jobs: processes at most.
    """
    stored: list[Stored] = []
    beside: list[Read] = []
    states: dict[str, str] = {}
    recipes: dict[str, str] = {}
    read = _Reader(selection, Lean(every_loss=every_loss), tuple(look.take for look in looks))
    for root in selection.roots:
        if not root.is_dir():
            if may_be_empty:
                continue
            raise UserError(f"{root} is no folder of runs; give one with --from, or run something first")
        for words in unreadable_words(root):
            print(plain(f"left out: {words}"), file=sys.stderr)
        for found in read.all(record_paths(root), jobs):
            if isinstance(found, str):
                print(plain(found), file=sys.stderr)
            elif isinstance(found, _Found):
                stored.append(found.stored)
                for look, taken in zip(looks, found.taken, strict=False):  # nothing where the slow way was gone
                    look.keep(found.stored.record, taken)
            else:
                beside += found
        waiting = {folder: words for folder, words in unfinished(root).items() if selection.has(*folder.split("/")[:2])}
        states |= waiting
        recipes |= {folder: recipe_named(root / folder) for folder in waiting}
    if not stored and not states and not may_be_empty:
        raise UserError(f"no record in {', '.join(map(str, selection.roots))} fits; `status` says what has been run")
    return Selected(tuple(stored), states, recipes, tuple(beside))


@dataclass(frozen=True)
class _Found:
    """A record that can be trusted, as far as a quick look tells, in little memory; and what was taken of it."""

    stored: Stored
    taken: tuple[Any, ...]


@dataclass(frozen=True)
class _Reader:
    """Reads the records of a selection."""

    selection: Selection
    lean: Lean
    takes: tuple[Take, ...]

    def one(self, path: Path) -> _Found | list[Read] | str:
        """A record; of one that is not of the selection, what it read; words, where it is left out."""
        found = load_stored(path)
        if isinstance(found, CorruptRecord):
            return f"left out: {found}"
        wrong, arrays = looked_at(found)
        if wrong:
            return f"left out: {path}: {wrong}; `results verify` lists all"
        if not self.selection.has_record(found.record):
            return list(reads(found.record))
        taken = tuple(take(found.record, arrays) for take in self.takes) if arrays else ()
        return _Found(Stored(self.lean(found.record), path), taken)

    def all(self, paths: Sequence[Path], jobs: int) -> Iterator[_Found | list[Read] | str]:
        """Each of them, in order."""
        jobs = max(1, min(jobs, len(paths) // MANY))
        if jobs == 1:
            yield from map(self.one, paths)
            return
        there = _Reader(self.selection, self.lean.empty(), self.takes)  # shares within what comes in one piece
        for found in mapped(there.one, paths, jobs=jobs):
            if isinstance(found, _Found):
                found = _Found(Stored(self.lean(found.stored.record), found.stored.path), found.taken)
            yield found


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

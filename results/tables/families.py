"""The family of verdicts of a table: its rows, made from stored records and the counts of images beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from results.store.confusion import Locate, counted, is_swept
from results.store.kept_rows import KeptRows
from results.store.record import RunRecord
from results.tables.classes_and_costs import Variants
from results.tables.content import Content
from results.tables.inference import DELTA
from results.tables.statistics import Counts, Head, counts_of
from results.tables.verdicts import Family, Memo, Over, Place, Row, judged
from splits.errors import UserError

Counted = Callable[[RunRecord], Counts | None]  # None: no counts of single images lie beside the record


class Stored(Mapping[Place, Counts]):
    """Counts by fold and seed, read when they are wanted: those of thousands of runs need not fit into memory."""

    def __init__(self, runs: Sequence[RunRecord], read: Counted):
        self._runs = {(run.result.evaluation.fold, run.result.train.seed): run for run in runs}
        self._read = read

    def head(self, place: Place) -> Head:
        """What is known of a run without reading its counts."""
        known = getattr(self._read, "head", None)
        return known(self._runs[place]) if known is not None else self[place].head

    def __getitem__(self, place: Place) -> Counts:
        run = self._runs[place]
        counts = self._read(run)
        if counts is None:
            raise UserError(f"{run.result.train.folder}: holds no counts of single images; score the run again")
        return counts

    def __contains__(self, place: object) -> bool:
        return place in self._runs  # a Mapping's own would read the counts to tell

    def __iter__(self) -> Iterator[Place]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)


class FromDisk:
    """Counts as they lie on the disk, or were kept when the records were checked."""

    def __init__(self, locate: Locate, kept: KeptRows | None = None):
        self._locate, self._kept = locate, kept

    def head(self, run: RunRecord) -> Head:
        """What the record alone says of its counts."""
        side, asked = run.result.evaluation.side, run.result.evaluation
        listed, name = f"{side.data.ids_sha256} {asked.limit}", run.result.confusion_sha256
        return Head(listed, run.result.images, side.scored_as_seen, side.absent_class, name)

    def __call__(self, run: RunRecord) -> Counts | None:
        """The counts; None where the file holds none of single images."""
        found = (self._kept.of(run) if self._kept is not None else None) or self._read(run)
        if found is None:
            return None
        rows, swept = found
        head = self.head(run)
        counts = counts_of(rows, head.size, head.seen, head.rule, head.images, head.name)
        return replace(counts, swept=swept)

    def _read(self, run: RunRecord) -> tuple[NDArray[np.int64], bool] | None:
        found = counted(self._locate(run), ("per_image", "shifts"))
        return (found["per_image"], is_swept(found["shifts"])) if "per_image" in found else None


def reader(locate: Locate, kept: KeptRows | None = None) -> Counted:
    """Counts as they lie on the disk; kept: those that need not be read again."""
    return FromDisk(locate, kept)


def rows_of(variants: Variants, read: Counted) -> list[Row]:
    """A row of the family for each row of a table, in its order."""
    return [Row(name, Stored(runs, read), any(run.result.partial for run in runs)) for name, runs in variants.items()]


def family_of(
    content: Content,
    variants: Variants,
    read: Counted,
    *,
    delta: float = DELTA,
    over: Over | None = None,
    memo: Memo | None = None,
) -> Family:
    """The verdicts of these rows. memo: of other families with some of the same runs.

    Raises UserError where a run's counts of single images are missing, or are of no pair.
    """
    folds = [fold.index for fold in content.split.folds]
    try:
        return judged(rows_of(variants, read), folds, delta=delta, over=over, memo=memo)
    except ValueError as error:
        raise UserError(str(error)) from None

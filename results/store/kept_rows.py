"""Counts of single images that were in hand when records were checked, kept in few bytes for the draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.store.confusion import is_swept
from results.store.record import RunRecord

Rows = tuple[tuple[NDArray[Any], ...], bool]  # columns; whether shifts were swept from end to end
ROOM = 28 * 2**20  # bytes: of some 2,000 runs over 500 images; the rest is read again


class KeptRows:
    """The rows image, truth, prediction, pixels of as many runs as fit; a look at records for `store.selection.select`.

    They are those of the files whose sha256 the records name, as they were when they were checked.
    """

    def __init__(self, room: int = ROOM):
        self._left = room
        self._known: dict[str, Rows] = {}

    @staticmethod
    def take(record: RunRecord, found: dict[str, NDArray[Any]]) -> Rows | None:
        """The rows of one record, where it has some."""
        rows = found.get("per_image")
        if rows is None or not rows.size:
            return None
        image, *others = rows.T  # none is negative
        if (np.diff(image) < 0).any():  # as nothing writes them
            return None
        return tuple(map(_small, (np.bincount(image), *others))), is_swept(found["shifts"])

    def keep(self, record: RunRecord, taken: Rows | None) -> None:
        """Keep them, where there is room."""
        name = record.result.confusion_sha256
        if taken is None or name in self._known:
            return
        size = sum(column.nbytes for column in taken[0])
        if size <= self._left:
            self._left -= size
            self._known[name] = taken

    def of(self, record: RunRecord) -> tuple[NDArray[np.int64], bool] | None:
        """`(n, 4)` rows as they lie in the file, and whether shifts were swept from end to end; None: not kept."""
        known = self._known.get(record.result.confusion_sha256)
        if known is None:
            return None
        (of_image, *others), swept = known
        image = np.repeat(np.arange(len(of_image)), of_image)
        return np.stack([image, *others], axis=1, dtype=np.int64, casting="unsafe"), swept


def _small(values: NDArray[np.int64]) -> NDArray[Any]:
    return values.astype(np.min_scalar_type(values.max()))

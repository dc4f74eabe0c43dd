"""Readers of masks whose files hold other values than the benchmark's ids: one table lookup between the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.folders import FolderReader, Part
from benchmarks.data.mask_file import BYTES, Mask, places, read_mask
from splits.loader import Split


class MappedReader(FolderReader):
    """Reads a `Part` whose mask files hold the keys of `meaning`, each of which stands for an id of the split."""

    def __init__(
        self, part: Part, split: Split, meaning: Mapping[int, int], mask_rule: str, *, subset: bool, year: str = ""
    ) -> None:
        super().__init__(part, split.legal_ids, mask_rule, subset=subset, year=year)
        type_: type[np.unsignedinteger[Any]] = np.uint8 if places(meaning.values()) == BYTES else np.uint16
        self._table: Mask = np.zeros(places(meaning), type_)  # `read_mask` refuses other values before
        self._table[list(meaning)] = list(meaning.values())
        self._file_ids = frozenset(meaning)

    @property
    def file_ids(self) -> frozenset[int]:
        """Every value that a mask's file may hold."""
        return self._file_ids

    def counted(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixels of file values added up under the id that they stand for."""
        out = np.zeros_like(pixels)
        for value in self._file_ids:
            out[self._table[value]] += pixels[value]
        return out

    def mask(self, index: int) -> Mask:
        """The mask of `ids[index]` alone, in the split's ids."""
        return self._table[read_mask(self.mask_path(index), self._file_ids)]

"""Part of a data set: the first images, for a trial run; those without some classes."""

from collections.abc import Collection, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.reader import Reader, Sample
from splits.errors import DataError


class Limited(Reader):
    """At most `count` images of another reader. What is made of it is partial."""

    def __init__(self, reader: Reader, count: int):
        self._reader = reader
        self.ids = reader.ids[:count]
        self.partial = True
        self.mask_rule, self.year = reader.mask_rule, reader.year

    def files(self) -> tuple[Reader, Sequence[int]]:
        """The first ones of the reader behind."""
        behind, indices = self._reader.files()
        return behind, indices[: len(self.ids)]

    def read(self, index: int) -> Sample:
        """The sample `ids[index]` of the reader behind."""
        return self._reader.read(range(len(self.ids))[index])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Its mask alone."""
        return self._reader.mask(range(len(self.ids))[index])


class Without(Reader):
    """The images of another reader whose masks hold none of some ids, the first `limit` of them for a trial run.

    Masks are looked at once, here, until there are enough. Raises DataError where no image is left.
    """

    def __init__(self, reader: Reader, ids: Collection[int], *, limit: int | None = None):
        unwanted = np.zeros(256, dtype=bool)
        unwanted[list(ids)] = True
        self._reader = reader
        kept = (index for index in range(len(reader)) if not unwanted[reader.mask(index)].any())
        self._kept = list(islice(kept, limit))
        if not self._kept:
            raise DataError(
                f"each of the {len(reader)} training images holds an unseen class, so that dropping them leaves none; "
                "give --training-images keep"
            )
        self.ids = tuple(reader.ids[index] for index in self._kept)
        self.partial = reader.partial or limit is not None
        self.mask_rule, self.year = reader.mask_rule, reader.year

    def files(self) -> tuple[Reader, Sequence[int]]:
        """Those of the reader behind up to the last that is kept: their masks are read to know."""
        behind, indices = self._reader.files()
        return behind, indices[: self._kept[-1] + 1]

    def read(self, index: int) -> Sample:
        """The sample `ids[index]` of the reader behind."""
        return self._reader.read(self._kept[index])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Its mask alone."""
        return self._reader.mask(self._kept[index])

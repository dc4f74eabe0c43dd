"""Part of a data set: the first images, for a trial run; those without some classes."""

from collections.abc import Collection, Sequence
from itertools import islice

import numpy as np

from benchmarks.data.mask_file import VALUES, Mask
from benchmarks.data.reader import Reader, Sample
from splits.errors import DataError


class Chosen(Reader):
    """Some images of another reader, by their places there."""

    def __init__(self, reader: Reader, places: Sequence[int], *, partial: bool):
        self._reader, self._places = reader, places
        self.ids = tuple(reader.ids[place] for place in places)
        self.partial = reader.partial or partial
        self.mask_rule, self.year = reader.mask_rule, reader.year

    def files(self) -> tuple[Reader, Sequence[int]]:
        """Those of the reader behind, up to the last one that is taken: the masks before it are read to choose."""
        behind, indices = self._reader.files()
        return behind, indices[: self._places[-1] + 1] if self._places else indices[:0]

    def read(self, index: int) -> Sample:
        """The sample `ids[index]` of the reader behind."""
        return self._reader.read(self._places[index])

    def mask(self, index: int) -> Mask:
        """Its mask alone."""
        return self._reader.mask(self._places[index])


class Limited(Chosen):
    """At most `count` images of another reader. What is made of it is partial."""

    def __init__(self, reader: Reader, count: int):
        super().__init__(reader, range(min(count, len(reader))), partial=True)


class Without(Chosen):
    """The images of another reader whose masks hold none of some ids, the first `limit` of them for a trial run.

    Masks are looked at once, here, until there are enough. Raises DataError where no image is left.
    """

    def __init__(self, reader: Reader, ids: Collection[int], *, limit: int | None = None):
        unwanted = np.zeros(VALUES, dtype=bool)
        unwanted[list(ids)] = True
        kept = list(islice((i for i in range(len(reader)) if not unwanted[reader.mask(i)].any()), limit))
        if not kept:
            raise DataError(
                f"each of the {len(reader)} training images holds an unseen class, so that dropping them leaves none; "
                "give --training-images keep"
            )
        super().__init__(reader, kept, partial=limit is not None)

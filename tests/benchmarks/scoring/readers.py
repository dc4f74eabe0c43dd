"""Readers of drawn noise."""

from __future__ import annotations

import numpy as np

from benchmarks.data.reader import Reader, Sample


class Blocks(Reader):
    """Noise, with masks of blocks: five classes, background, ignored pixels."""

    mask_rule, partial = "drawn", False

    def __init__(self, count: int, ids: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 255)):
        self.ids = tuple(map(str, range(count)))
        self._of = ids

    def read(self, index: int) -> Sample:
        """The same for an index every time."""
        rng = np.random.default_rng(index)
        cells = rng.choice(np.array(self._of, dtype=np.uint8), (5, 7))
        return Sample(
            self.ids[index],
            rng.integers(0, 256, (40, 56, 3), dtype=np.uint8),
            np.kron(cells, np.ones((8, 8), np.uint8)),
        )

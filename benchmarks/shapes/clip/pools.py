"""Pools of rendered pictures with their names: rendering is not free, so each picture serves several times."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes.world import NAMES, render_picture


class Pool:
    """The last `count` pictures of a stream, at one size; pictures of class k sit in the slots k, k + 20, k + 40, ...

    The contents follow from (seed, size, hardness, position) alone, so a run that resumes draws the same ones
    again. Raises ValueError when `count` is not a multiple of 20 or larger than `position`.
    """

    def __init__(self, *, seed: int, size: int, count: int, hardness: float, position: int) -> None:
        if count % len(NAMES) or position < count:
            raise ValueError(
                f"a pool of {count} pictures ending at {position}: count is a multiple of {len(NAMES)} up to position"
            )
        self._seed, self._size, self._hardness = seed, size, hardness
        self._images = np.empty((count, size, size, 3), dtype=np.uint8)
        self.position = position - count
        self.advance(count)

    def advance(self, count: int) -> None:
        """Replaces the `count` oldest pictures by the next ones of the stream."""
        for index in range(self.position, self.position + count):
            picture = render_picture(self._seed, index, size=self._size, hardness=self._hardness)
            self._images[index % len(self._images)] = picture.image
        self.position += count

    def draw(self, rng: np.random.Generator, groups: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """`groups` times every name once, in random order: (groups * 20, S, S, 3) pictures and positions in NAMES.

        A name occurs once in each group of 20, so that a contrastive loss within the group has no false
        negatives. Pictures are mirrored at random, which the world does too.
        """
        names = np.concatenate([rng.permutation(len(NAMES)) for _ in range(groups)])
        rows = rng.integers(0, len(self._images) // len(NAMES), size=len(names))
        images = self._images[rows * len(NAMES) + names]
        flip = rng.random(len(names)) < 0.5
        images[flip] = images[flip, :, ::-1]
        return images, names


def mosaic(tiles: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Puts each run of side * side pictures (N, S, S, 3) together, row by row: (N / side^2, side * S, side * S, 3)."""
    size = tiles.shape[1]
    grid = tiles.reshape(-1, side, side, size, size, 3).transpose(0, 1, 3, 2, 4, 5)
    return np.ascontiguousarray(grid).reshape(-1, side * size, side * size, 3)

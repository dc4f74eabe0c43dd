"""The built-in procedural world as a data set: scenes are drawn when first read and kept in memory."""

from __future__ import annotations

from benchmarks.data.reader import Reader, Sample
from benchmarks.shapes import world
from splits.errors import DataError
from splits.loader import Split

VERSION = 1  # raised whenever the renderer draws other bytes, so that results of another world never mix


class ShapesReader(Reader):
    """One part of the world; mask 0 is background, 1..20 the classes. Always whole."""

    mask_rule = f"rendered, world {VERSION}"
    partial = False

    def __init__(self, split: Split, part: str, *, size: int = world.REFERENCE) -> None:
        if part not in world.PARTS:
            raise DataError(f"{split.name} has no part {part!r}; it has: {', '.join(world.PARTS)}")
        if split.classes != world.NAMES:
            raise DataError(f"{split.name}: its classes {split.classes} are not the world's {world.NAMES}")
        self.size, self._part = size, world.PARTS[part]
        self.ids = tuple(f"{part}-{self._part.seed}-{index:05d}" for index in range(self._part.count))
        self._drawn: dict[int, Sample] = {}

    def read(self, index: int) -> Sample:
        """Scene `index` of the part; the arrays are the caller's to change."""
        index = range(len(self.ids))[index]
        if index not in self._drawn:
            scene = world.render_scene(self._part.seed, index, size=self.size)
            self._drawn[index] = Sample(self.ids[index], scene.image, scene.mask)
        kept = self._drawn[index]
        return Sample(kept.id, kept.image.copy(), kept.mask.copy())

"""All files of a part at once: what identifies them, and what no single file shows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.file_facts import MaskFacts, PhotoFacts
from benchmarks.data.folders import FolderReader
from benchmarks.data.known_files import facts_of, unknown
from benchmarks.data.mask_file import illegal_words, places
from benchmarks.data.photo_file import turn_problems
from benchmarks.data.reader import Reader, Watch

MANY: Final = 0.2  # share of the masks that hold a value: from there on seams are no accident
FEW_PIXELS: Final = 10
AT_ONCE: Final = 0.75  # drawn masks have 0.97, resized ones 0.7 and less, by the factor
MOST: Final = 0.5  # share of the files with such bands


@dataclass(frozen=True)
class Survey:
    """The files of a part, by id."""

    reader: FolderReader
    ids: tuple[str, ...]
    photos: tuple[PhotoFacts, ...]
    masks: tuple[MaskFacts, ...]

    @cached_property
    def sha256(self) -> str:
        """sha256 over the sorted lines of id, sha256 of its photo, and sha256 of its mask or of what that is drawn of.

        Equal for equal content wherever it lies. Empty where a file cannot be read.
        """
        truths = (self.reader.truth_sha256 or mask.sha256 for mask in self.masks)
        rows = list(zip(self.ids, (photo.sha256 for photo in self.photos), truths, strict=True))
        if not all(photo and truth for _, photo, truth in rows):
            return ""
        return hashlib.sha256("".join(f"{id_}\0{p}\0{t}\n" for id_, p, t in sorted(rows)).encode()).hexdigest()

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of each of the split's ids, by id: pixels, and masks that hold it."""
        pixels, images = (np.zeros(self._places, np.int64) for _ in range(2))
        for mask in self.masks:
            counted = self.reader.counted(_histogram(mask, self._places))
            pixels += counted
            images += counted > 0
        return pixels, images

    def stored(self) -> NDArray[np.int64]:
        """Pixels of each value in the files, by value."""
        return sum((_histogram(mask, self._places) for mask in self.masks), np.zeros(self._places, np.int64))

    @property
    def _places(self) -> int:
        """How many values there may be."""
        return places({*self.reader.file_ids, *self.reader.legal_ids})

    def file_problems(self) -> Iterator[str]:
        """Files that cannot be read as they are, pairs that do not fit, values that no mask may hold."""
        for index, (photo, mask) in enumerate(zip(self.photos, self.masks, strict=True)):
            yield from (facts.problem for facts in (photo, mask) if facts.problem)
            path, image = self.reader.mask_path(index), self.reader.image_path(index)
            if photo.sha256 and photo.sha256 == mask.sha256:
                yield f"image {image} and mask {path} are equal, byte for byte; expected a photo and its class ids"
            if not photo.problem and not mask.problem:
                yield from turn_problems(image, path, photo.size, photo.orientation, mask.size, self.reader.undecided)
            if words := illegal_words(path, mask.values, self.reader.file_ids):
                yield words


def seam_words(masks: Iterable[MaskFacts], *, many: float = MANY, at_once: float = AT_ONCE) -> list[str]:
    """Values that lie along the seams of others alone, in a good part of the files that hold them; else bands of some.

    many: share of the files that hold a value from which on it is no accident. at_once: share of a file's steps by two
    and more that have no band between, below which the bands are no accident.
    """
    masks = list(masks)
    holders, thin, pixels = Counter[int](), Counter[int](), Counter[int]()
    for mask in masks:
        holders.update(mask.values.keys())
        thin.update(mask.seams)
        pixels.update({value: mask.values[value] for value in mask.seams})
    found = [v for v, count in sorted(thin.items()) if count >= many * holders[v] and pixels[v] >= FEW_PIXELS]
    if not found:
        return _band_words(masks, at_once)
    words = ", ".join(f"{v} (in {thin[v]} of {holders[v]} files)" for v in found[:5])
    return [
        f"ids that lie only along the seams of others: {words}; were these files resized with interpolation? resize "
        "the originals by nearest neighbour"
    ]


def _band_words(masks: Sequence[MaskFacts], share: float) -> list[str]:
    stepped = [mask.steps for mask in masks if sum(mask.steps) >= FEW_PIXELS]
    banded = sum(direct < share * (direct + over) for direct, over in stepped)
    if not banded or banded < MOST * len(stepped):
        return []
    return [
        "ids that differ by two and more meet over a thin band of one between them (in "
        f"{banded} of {len(stepped)} files); were these files resized with interpolation? resize the originals by "
        "nearest neighbour"
    ]


def palette_problems(surveys: Sequence[Survey]) -> list[str]:
    """One index with two colours, or one colour with two indices, in the masks of a set: the first such pair."""
    masks = [(survey.reader.mask_path(at), m) for survey in surveys for at, m in enumerate(survey.masks) if m.colours]
    return palette_words([(path, mask.colours, mask.palette) for path, mask in masks])


def palette_words(files: Iterable[tuple[Path, Mapping[int, str], str]]) -> list[str]:
    """The same of files with the colour of each index that they hold, and with which palette they have."""
    colours: dict[int, tuple[Path, str]] = {}  # index -> where first, its colour there
    indices: dict[str, tuple[Path, int, str]] = {}  # colour -> where first, its index and the palette there
    for path, found, palette in files:
        for index, colour in found.items():
            first, other = colours.setdefault(index, (path, colour))
            if other != colour:
                return [f"index {index} is #{other} in {first} and #{colour} in {path}: {CHOSEN}"]
            first, number, there = indices.setdefault(colour, (path, index, palette))
            if number != index and there != palette:  # a palette may have one colour twice
                return [f"the colour #{colour} is index {number} in {first} and {index} in {path}: {CHOSEN}"]
    return []


CHOSEN: Final = (
    "these indices were chosen by a program, file by file, and are no class ids; turn the colours back into ids"
)


def surveyed(
    reader: Reader, *, fresh: bool = False, jobs: int = 1, watch: Watch = lambda done, total: None
) -> Survey | None:
    """Look at all files of a reader; None where there are none: its pictures are drawn. Masks must be prepared."""
    behind, paths = _paths(reader)
    if behind is None:
        return None
    count = len(paths[0])
    photos = facts_of(paths[0], "photo", fresh=fresh, jobs=jobs, watch=lambda done, _: watch(done, 2 * count))
    masks = facts_of(paths[1], "mask", fresh=fresh, jobs=jobs, watch=lambda done, _: watch(count + done, 2 * count))
    return Survey(
        behind,
        behind.ids[:count],
        tuple(facts for facts in photos if isinstance(facts, PhotoFacts)),
        tuple(facts for facts in masks if isinstance(facts, MaskFacts)),
    )


def unread(reader: Reader) -> int:
    """How many files of a reader would have to be read to survey it."""
    behind, paths = _paths(reader)
    return 0 if behind is None else unknown(paths[0], "photo") + unknown(paths[1], "mask")


def _paths(reader: Reader) -> tuple[FolderReader | None, tuple[list[Path], list[Path]]]:
    """The reader of files behind a reader, and the photos and masks that are read: the first ones of its list."""
    behind, indices = reader.files()
    if not isinstance(behind, FolderReader):
        return None, ([], [])
    return behind, ([behind.image_path(i) for i in indices], [behind.mask_path(i) for i in indices])


def _histogram(mask: MaskFacts, length: int) -> NDArray[np.int64]:
    pixels = np.zeros(length, np.int64)
    for value, count in mask.values.items():
        if 0 <= value < length:
            pixels[value] = count
    return pixels

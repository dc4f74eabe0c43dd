"""Readers of data sets in which each image and each mask is a file: what is there is found by one listing a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.listing import Place
from benchmarks.data.mask_file import Mask, read_mask
from benchmarks.data.photo_file import Turn
from benchmarks.data.reader import Reader, Sample, paired
from splits.errors import AbsentData, DataError


@dataclass(frozen=True)
class Part:
    """The files of one part of a data set, complete or not."""

    name: str  # of benchmark and part, for messages
    listed: tuple[str, ...]  # ids, in order
    count: int  # ids of the official part: more than are listed where the list itself is cut
    images: Mapping[str, Path]  # of the ids whose image is there
    masks: Mapping[str, Path]
    where: Callable[[str], tuple[Path, Path]]  # image and mask of any id, as they should be
    root: Path
    source: str  # where the full set comes from
    places: tuple[Place, ...] = ()  # where its photos and its masks are looked for, if that is not one folder each

    @property
    def present(self) -> tuple[str, ...]:
        """The listed ids with both files, in order."""
        return tuple(id_ for id_ in self.listed if id_ in self.images and id_ in self.masks)

    def missing(self) -> Iterable[Path]:
        """Every file that a listed id lacks."""
        for id_ in self.listed:
            image, mask = self.where(id_)
            if id_ not in self.images:
                yield image
            if id_ not in self.masks:
                yield mask


class FolderReader(Reader):
    """Reads a `Part`.

    subset: take the listed ids that are present, in the list's order, and mark the reader partial. Without it a
    missing file is a DataError. Every mask is checked for ids and size when it is read.
    """

    def __init__(
        self, part: Part, legal_ids: frozenset[int], mask_rule: str, *, subset: bool = False, year: str = ""
    ) -> None:
        present = part.present
        if len(present) < part.count and not (subset and present):
            raise (DataError if present else AbsentData)(_incomplete(part, present))
        if len(present) > part.count:
            raise DataError(
                f"{part.name}: {len(present)} images under {part.root}, expected {part.count}; is it another edition, "
                "or are there files of other parts?"
            )
        self.part, self.legal_ids, self.mask_rule, self.year = part, legal_ids, mask_rule, year
        self.ids, self.partial = present, len(present) < part.count

    undecided: Turn = "stored"  # official masks are drawn on the pictures as they are stored

    @property
    def file_ids(self) -> frozenset[int]:
        """Every value that a mask's file may hold."""
        return self.legal_ids

    @property
    def truth_sha256(self) -> str:
        """Of the file that all masks are made of, if they are no files of the data set; else empty."""
        return ""

    def remarks(self, pixels: NDArray[np.int64], *, whole: bool) -> tuple[list[str], list[str]]:
        """Warnings and notes on masks whose files hold so many pixels of each value, by value.

        whole: they are all masks of the data set.
        """
        return [], []

    def counted(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixels of each value in files as pixels of each of the split's ids."""
        return pixels

    def image_path(self, index: int) -> Path:
        """Where the image `ids[index]` lies."""
        return self.part.images[self.ids[index]]

    def mask_path(self, index: int) -> Path:
        """Where its mask lies."""
        return self.part.masks[self.ids[index]]

    def mask(self, index: int) -> Mask:
        """The mask of `ids[index]` alone."""
        return read_mask(self.mask_path(index), self.legal_ids)

    def read(self, index: int) -> Sample:
        """One photo with its mask in the data set's own ids."""
        return paired(self.ids[index], self.image_path(index), self.mask(index), self.undecided)


def first_with(folders: Iterable[Path], *needed: str) -> Path | None:
    """The first folder that holds all of `needed`, or None."""
    return next((f for f in folders if all((f / name).exists() for name in needed)), None)


def found(name: str, data_set: str, places: Sequence[Path], needed: str, source: str) -> Path:
    """The first place that holds `needed`, or DataError that says where was looked and what belongs there."""
    folder = first_with(places, needed)
    if folder is None:
        looked = ", ".join(str(place / needed) for place in places)
        raise AbsentData(f"{name}: no {data_set} found; looked for {looked}; put there {source}")
    return folder


def below(roots: Sequence[Path], places: Iterable[str]) -> list[Path]:
    """Every place below every root, in the order of the roots."""
    places = tuple(places)
    return [root / place for root in roots for place in places]


def near(part: Part) -> str:
    """Of the first missing file: one that may be meant by it, for a message; empty where there is none."""
    for id_ in part.listed:
        for place, found in zip(part.places, (part.images, part.masks), strict=False):
            if id_ not in found and (other := place.near(id_)):
                return (
                    f" (there is {other}: endings that are read are {', '.join(place.endings)}; where more stands in "
                    f'the names, give a pattern such as "folder/{{id}}_more.png")'
                )
    return ""


def _incomplete(part: Part, present: tuple[str, ...]) -> str:
    lacking = next(iter(part.missing()), None)
    if lacking is None:
        what = f" (the data set's own list holds {len(part.listed)})"
    else:
        what = f", first {lacking.relative_to(part.root) if lacking.is_relative_to(part.root) else lacking}{near(part)}"
    return (
        f"{part.name}: {part.count - len(present)} of {part.count} images or their masks are missing under "
        f"{part.root}{what}; "
        + ("give --subset to use those that are there, or " if present else "")
        + f"put the full set there ({part.source})"
    )

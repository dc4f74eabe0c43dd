"""PASCAL VOC 2012 in its official layout, with the masks of SBD added (`SegmentationClassAug`).

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010; Hariharan et al., "Semantic contours from
inverse detectors", ICCV 2011. `train` is the list of 10,582 ids known as trainaug, `val` the official 1,449.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.data import folders
from benchmarks.data.cache import cache_folder
from benchmarks.data.folders import FolderReader, Part, below
from benchmarks.data.listing import files
from benchmarks.values import digest
from splits.errors import DataError
from splits.loader import Split

PLACES: Final = ("VOCdevkit/VOC2012", "VOC2012", ".")  # below a data root
IMAGES: Final = "JPEGImages"
AUG, OFFICIAL = MASKS = ("SegmentationClassAug", "SegmentationClass")  # the first that has the id; in both, equal
MASK_RULE: Final = "SegmentationClassAug"
SOURCE: Final = (  # where the full set comes from
    "VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, "
    "and the SegmentationClassAug masks, which `data prepare` builds from SBD"
)


def palette() -> list[int]:
    """The VOC colours of ids 0..255, flat as Pillow wants them: bit k of an id is bit 7 - k//3 of channel k % 3."""
    return [
        sum((id_ >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for id_ in range(256)
        for channel in range(3)
    ]


def found(split: Split, roots: Sequence[Path]) -> Path:
    """The first `VOC2012` folder (one with `JPEGImages`) below the roots, else DataError that says where it belongs."""
    return folders.found(split.name, "VOC 2012", below(roots, PLACES), IMAGES, SOURCE)


def cached_aug(folder: Path) -> Path:
    """Where the masks of a `VOC2012` folder are built that cannot be written to: in the cache, by its path."""
    return cache_folder() / "voc" / digest(str(folder.resolve()))[:16] / AUG


def aug_to_write(folder: Path) -> Path:
    """Where masks are built for a `VOC2012` folder: in it, unless it may not be written to."""
    there = folder / AUG
    return there if os.access(there if there.is_dir() else folder, os.W_OK) else cached_aug(folder)


def part_of(split: Split, part: str, folder: Path) -> Part:
    """The files of "train" or "val" under a `VOC2012` folder."""
    listed = split.listed(part)
    if listed is None:
        raise DataError(f"{split.name} has no part {part!r}; VOC 2012 has: train, val")
    return Part(
        name=f"{split.name} {part}",
        listed=listed,
        count=len(listed),
        images=files(folder / IMAGES, ".jpg"),
        masks=files(folder / OFFICIAL, ".png") | files(cached_aug(folder), ".png") | files(folder / AUG, ".png"),
        where=lambda id_: (folder / IMAGES / f"{id_}.jpg", folder / AUG / f"{id_}.png"),
        root=folder,
        source=SOURCE,
    )


def open_voc(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """VOC 2012: ids 0 (background), 1..20, 255 (border or void)."""
    return FolderReader(part_of(split, part, found(split, roots)), split.legal_ids, MASK_RULE, subset=subset, year=year)

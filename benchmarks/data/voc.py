"""PASCAL VOC 2012 in its official layout, with the masks of SBD added (`SegmentationClassAug`).

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010; Hariharan et al., "Semantic contours from
inverse detectors", ICCV 2011. `train` is the list of 10,582 ids known as trainaug, `val` the official 1,449.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.data.reader import Reader, Sample, paired, read_image, read_mask
from splits.errors import DataError
from splits.loader import Split, read_list

PLACES: Final = ("VOCdevkit/VOC2012", "VOC2012", ".")  # below a data root
IMAGES: Final = "JPEGImages"
MASKS: Final = ("SegmentationClassAug", "SegmentationClass")  # the first that has the id; where both do they are equal
SOURCE: Final = (  # where the full set comes from
    "VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, "
    "and the SegmentationClassAug masks"
)


def find(roots: Sequence[Path]) -> Path | None:
    """The first `VOC2012` folder (one that holds `JPEGImages`) below the roots, in their order, or None."""
    folders = (root / place for root in roots for place in PLACES)
    return next((folder for folder in folders if (folder / IMAGES).is_dir()), None)


def _names(folder: Path, suffix: str) -> frozenset[str]:
    """The ids of the files in a folder, by one listing."""
    if not folder.is_dir():
        return frozenset()
    return frozenset(path.name[: -len(suffix)] for path in folder.iterdir() if path.name.endswith(suffix))


class VocReader(Reader):
    """VOC 2012 under `folder` (it holds `JPEGImages`).

    subset: take the listed ids that are present, in the list's order, and mark the reader partial. Without it a
    missing file is a DataError. Every mask is checked for ids and size when it is read.
    """

    mask_rule = "SegmentationClassAug"

    def __init__(self, folder: Path, split: Split, part: str, *, subset: bool = False) -> None:
        name = {"train": split.train_list, "val": split.val_list}.get(part)
        if name is None:
            raise DataError(f"{split.name} has no part {part!r}; VOC 2012 has: train, val")
        self.folder, self.legal_ids = folder, split.legal_ids
        images = _names(folder / IMAGES, ".jpg")
        masks = {place: _names(folder / place, ".png") for place in MASKS}
        place_of = {id_: place for place in reversed(MASKS) for id_ in masks[place]}
        listed = read_list(name)
        present = tuple(id_ for id_ in listed if id_ in images and id_ in place_of)
        if len(present) < len(listed) and not (subset and present):
            lacking = next(id_ for id_ in listed if id_ not in images or id_ not in place_of)
            file = f"{IMAGES}/{lacking}.jpg" if lacking not in images else f"{' or '.join(MASKS)}/{lacking}.png"
            raise DataError(
                f"{split.name} {part}: {len(listed) - len(present)} of {len(listed)} images or their masks are missing "
                f"under {folder}, first {file}; "
                + ("give --subset to use those that are there, or " if present else "")
                + f"put the full set there ({SOURCE})"
            )
        self.ids, self.partial = present, len(present) < len(listed)
        self._place_of = {id_: place_of[id_] for id_ in present}

    def read(self, index: int) -> Sample:
        """One photo with ids 0 (background), 1..20, 255 (border or void)."""
        id_ = self.ids[index]
        image = read_image(self.folder / IMAGES / f"{id_}.jpg")
        mask = read_mask(self.folder / self._place_of[id_] / f"{id_}.png", self.legal_ids)
        return paired(id_, image, mask)

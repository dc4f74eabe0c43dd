"""PASCAL-Context in mmsegmentation's layout: 59 classes on the photos of VOC 2010.

Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR 2014. The masks
are those that mmsegmentation's converter makes of the Detail API's trainval_merged.json: 0 is no class, 1..59 the
classes in the order of their names. The image lists come with it; none ships here, so their lengths are checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.data.folders import FolderReader, Part, below, found
from benchmarks.data.listing import files, read_ids
from splits.errors import DataError
from splits.loader import Split, read_facts

PLACES: Final = ("VOCdevkit/VOC2010", "VOC2010", ".")  # below a data root
IMAGES: Final = "JPEGImages"
MASKS: Final = "SegmentationClassContext"
LISTS: Final = "ImageSets/SegmentationContext"
MASK_RULE: Final = "SegmentationClassContext"
SOURCE: Final = (
    "VOCtrainval_03-May-2010.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2010/, and what mmsegmentation's "
    "tools/dataset_converters/pascal_context.py makes of trainval_merged.json"
)


def open_context(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """PASCAL-Context; raises DataError where it is not found, or its list is none of the official length."""
    if part not in ("train", "val"):
        raise DataError(f"{split.name} has no part {part!r}; PASCAL-Context has: train, val")
    folder = found(split.name, "PASCAL-Context", below(roots, PLACES), MASKS, SOURCE)
    listed, count = read_ids(folder / LISTS / f"{part}.txt"), read_facts("pascal_context_sizes")[part]
    if len(set(listed)) != len(listed) or len(listed) > count:
        raise DataError(
            f"{split.name}: {folder / LISTS / part}.txt lists {len(listed)} images, expected {count}, each once; "
            "make it again with mmsegmentation's converter"
        )
    here = Part(
        name=f"{split.name} {part}",
        listed=listed,
        count=count,
        images=files(folder / IMAGES, ".jpg"),
        masks=files(folder / MASKS, ".png"),
        where=lambda id_: (folder / IMAGES / f"{id_}.jpg", folder / MASKS / f"{id_}.png"),
        root=folder,
        source=SOURCE,
    )
    return FolderReader(here, split.legal_ids, MASK_RULE, subset=subset, year=year)

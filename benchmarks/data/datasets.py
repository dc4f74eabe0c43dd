"""From a benchmark's split to the reader of one of its parts. Adding a data set: one line in `_OPENERS`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from benchmarks.data import coco, context, scenes, voc
from benchmarks.data.folders import FolderReader
from benchmarks.data.instances import RULE
from benchmarks.data.reader import Reader
from benchmarks.data.shapes import ShapesReader
from splits.errors import DataError
from splits.loader import Split, read_facts, read_list

VARIABLE: Final = "ZSS_DATA_ROOT"


def data_roots(given: str | Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The folders to search, in order: `given`, else the variable ZSS_DATA_ROOT; several are parted by `os.pathsep`.

    Raises DataError where a folder does not exist. Empty where none was given.
    """
    source = "--data-root" if given else VARIABLE
    text = str(given) if given else environment.get(VARIABLE, "")
    roots = tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)
    for root in roots:
        if not root.is_dir():
            raise DataError(f"data root {root} (from {source}) is no folder; give the folder that holds the data set")
    return roots


class Opener(Protocol):
    """Opens one part of a data set below some roots."""

    def __call__(self, split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
        """Raises DataError where data or folder are missing."""


_OPENERS: Final[dict[str, Opener]] = {
    "voc2012": voc.open_voc,
    "coco": coco.open_coco,
    "cocostuff": coco.open_stuff,
    "context": context.open_context,
    "cocoobject": coco.open_object,
    "ade20k": scenes.open_ade,
    "cityscapes": scenes.open_cityscapes,
    "ade20k-full": scenes.open_ade_full,
    "context-full": scenes.open_context_full,
}
SOURCES: Final = {  # what has to be put below a data root
    "voc2012": voc.SOURCE,
    "coco": coco.SOURCE.format(part="train and val", year="YEAR"),
    "cocostuff": coco.STUFF_SOURCE,
    "context": context.SOURCE,
    "cocoobject": coco.STUFF_SOURCE,
    "ade20k": scenes.ADE_SOURCE,
    "cityscapes": scenes.CITYSCAPES_SOURCE,
    "ade20k-full": scenes.ADE_FULL_SOURCE,
    "context-full": scenes.CONTEXT_FULL_SOURCE,
}
_ROOTLESS: Final[set[str]] = set()  # data sets that say themselves where they lie
MASK_RULES: Final = {
    "shapes": ShapesReader.mask_rule,
    "voc2012": voc.MASK_RULE,
    "coco": RULE,
    "cocostuff": coco.STUFF_RULE,
    "context": context.MASK_RULE,
    "cocoobject": coco.OBJECT_RULE,
    "ade20k": scenes.ADE_RULE,
    "cityscapes": scenes.CITYSCAPES_RULE,
    "ade20k-full": scenes.ADE_FULL_RULE,
    "context-full": scenes.CONTEXT_FULL_RULE,
}


def register(dataset: str, opener: Opener, mask_rule: str) -> None:
    """Make the reader of a custom data set known; it needs no data root."""
    _OPENERS[dataset], MASK_RULES[dataset] = opener, mask_rule
    _ROOTLESS.add(dataset)


def expected_images(split: Split, part: str, year: str = "") -> int:
    """How many images "train" or "val" has where nothing is missing, known without the data."""
    listed = split.listed(part)
    if listed is not None:
        return len(listed)
    if split.dataset == "context":
        return read_facts("pascal_context_sizes")[part]
    if (known := read_facts(scenes.FACTS)["images"].get(split.dataset)) is not None:
        return known
    held_out = len(read_list(split.train_without)) if split.train_without and part == "train" else 0
    return read_facts("coco_editions")[split.year(year)][part]["images"] - held_out


def open_reader(
    split: Split, part: str, *, data_root: str | Path | None = None, subset: bool = False, year: str = ""
) -> Reader:
    """The reader of a part ("train", "val"; generated worlds also "tune") of a benchmark's data set.

    data_root: a folder, or several joined by `os.pathsep`, searched in order; None: the environment variable
    ZSS_DATA_ROOT. Generated worlds need none. subset: accept a data set of which only some listed images are there.
    year: the edition, where a data set has several; empty: the benchmark's own.
    Raises DataError, one line, where data or folder are missing.
    """
    year = split.year(year)
    if split.dataset == "shapes":
        return ShapesReader(split, part)
    if split.dataset not in _OPENERS:
        raise DataError(f"{split.name}: no reader for {split.dataset}; there are: shapes, {', '.join(_OPENERS)}")
    roots = () if split.dataset in _ROOTLESS else data_roots(data_root)
    if not roots and split.dataset not in _ROOTLESS:
        raise DataError(
            f"{split.name} needs the data set {split.dataset} and no data root was given: "
            f"use --data-root DIR or set {VARIABLE}; below it belongs {SOURCES[split.dataset]}"
        )
    return _OPENERS[split.dataset](split, part, roots, subset=subset, year=year)

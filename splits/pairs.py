"""The few-shot literature's items: pairs of an image and one class in it, as HSNet's lists have them.

HSNet's `val` list of a fold holds the images of the fold's unseen classes. Its Pascal `trn` list i holds the classes
*of* fold i (training reads the other three), its COCO `trn` list i already the 60 seen classes.
"""

from __future__ import annotations

from typing import Final, Literal

from splits.errors import DataError, UserError
from splits.loader import Split, read_list

LISTS: Final = {"pascal-5i": "pascal", "voc-15-5": "pascal", "coco-20i": "coco"}  # COCO's folds there are interleaved
FOLD: Final = {"voc-15-5": 3}  # of the lists, where it is not the benchmark's own

Pair = tuple[str, str]  # image id, class


def read_pairs(split: Split, fold: int, part: Literal["val", "trn"] = "val") -> tuple[Pair, ...]:
    """`(image id, class)` of every listed item, in the list's order. Raises UserError where no list is published."""
    if split.name not in LISTS:
        raise UserError(f"{split.name} has no episodic lists; there are some for: {', '.join(LISTS)}")
    split.fold(fold)
    data = LISTS[split.name]
    parse = _pascal if data == "pascal" else _coco
    pairs = [parse(line) for line in read_list(f"hsnet_{data}_{part}_fold{FOLD.get(split.name, fold)}")]
    if outside := [index for _, index in pairs if not 0 <= index < len(split.classes)]:
        raise DataError(f"{split.name} fold {fold}: the {part} list names classes {outside[:3]} that there are not")
    return tuple((id_, split.classes[index]) for id_, index in pairs)


def _pascal(line: str) -> tuple[str, int]:
    """`2007_000033__01`: classes from 1."""
    id_, _, number = line.partition("__")
    return id_, int(number) - 1


def _coco(line: str) -> tuple[str, int]:
    """`val2014/COCO_val2014_000000429717.jpg<TAB>0`: classes from 0; the id without what names the edition."""
    path, _, index = line.partition("\t")
    return path.rpartition("/")[2].removesuffix(".jpg").rpartition("_")[2], int(index)

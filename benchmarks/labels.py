"""From a data set's mask ids to the labels a method trains on and to the truth it is scored against: one table lookup.

Unseen classes are removed here, before anything else (cropping, mining, losses) sees a label. The codes are those of
`methods.label_codes`. No torch here.
"""

from __future__ import annotations

from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.choices import Background, Border
from benchmarks.data.mask_file import spans
from methods.label_codes import IGNORED, UNLABELLED, UNSEEN_EXTENT, VOID
from splits.errors import DataError
from splits.loader import Fold, Split
from splits.settings import Setting

ILLEGAL: Final = 252  # in a table only: no mask of the data set may hold this id; class indices stay below

MOST_CLASSES: Final = ILLEGAL - 1  # one index more is background, where it is a class

Table = NDArray[np.uint8]  # (256,)


def table_of(split: Split, entries: dict[int, int]) -> Table:
    """A table of these entries, everything else illegal; `split.legal_ids` must all have one."""
    if len(split.classes) > MOST_CLASSES:
        raise ValueError(f"{split.name}: at most {MOST_CLASSES} classes fit into labels, got {len(split.classes)}")
    if split.legal_ids != entries.keys():
        raise ValueError(f"{split.name}: entries for {sorted(entries)}, expected {sorted(split.legal_ids)}")
    table = np.full(256, ILLEGAL, dtype=np.uint8)
    for id_, label in entries.items():
        table[id_] = label
    return table


def training_table(
    split: Split,
    fold: Fold,
    *,
    setting: Setting,
    background: Background = "ignored",
    border: Border = "void",
) -> Table:
    """`(256,)` uint8: mask id to training label (ZegCLIP, models/segmentor, with codes of our own for -1).

    | setting | seen class | unseen class |
    | --- | --- | --- |
    | inductive | position in `fold.seen` | 255 |
    | transductive | position in `fold.classes` | 255 |
    | transductive-known-extent | position in `fold.classes` | 253 |
    | fully-supervised | position in `fold.classes` | position in `fold.classes` |

    A class that a tune fold does not ask about is 255 in every setting.
    background: 255, or with "class" one index past the training classes, whose query the caller then adds (a pixel
    labelled background tells that no unseen class is there). border: the data set's ignore id becomes 254 (void) or
    255.
    """
    _check("setting", setting, Setting)
    _check("background", background, Background)
    _check("border", border, Border)
    _check_fold(split, fold)
    vocabulary = fold.seen if setting == "inductive" else fold.classes
    labels = {name: index for index, name in enumerate(vocabulary)}
    if setting != "fully-supervised":
        hidden = UNSEEN_EXTENT if setting == "transductive-known-extent" else UNLABELLED
        labels |= dict.fromkeys(fold.unseen, hidden)
    entries = {id_: labels.get(name, UNLABELLED) for name, id_ in zip(split.classes, split.ids, strict=True)}
    if split.background_id is not None:
        entries[split.background_id] = UNLABELLED if background == "ignored" else len(vocabulary)
    if split.ignore_id is not None:
        entries[split.ignore_id] = VOID if border == "void" else UNLABELLED
    return table_of(split, entries)


def evaluation_table(split: Split, fold: Fold | None = None, *, background: Background = "ignored") -> Table:
    """`(256,)` uint8: mask id to truth: position in `fold.classes` (None: all of the split's); 255 ignored.

    background: 255, or with "class" one index past the classes. The data set's ignore id, and a class that a tune fold
    does not ask about, are always 255.
    """
    _check("background", background, Background)
    if fold is not None:
        _check_fold(split, fold)
    index_of = {name: index for index, name in enumerate(fold.classes if fold else split.classes)}
    entries = {id_: index_of.get(name, IGNORED) for name, id_ in zip(split.classes, split.ids, strict=True)}
    if split.background_id is not None:
        entries[split.background_id] = IGNORED if background == "ignored" else len(index_of)
    if split.ignore_id is not None:
        entries[split.ignore_id] = IGNORED
    return table_of(split, entries)


def apply(table: Table, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mask's labels, `(H, W)` uint8. Raises DataError naming ids that no mask of the data set may hold."""
    labels = table[mask]
    if (wrong := labels == ILLEGAL).any():
        illegal = ", ".join(map(str, np.unique(mask[wrong])[:8]))
        legal = [int(id_) for id_ in np.flatnonzero(table != ILLEGAL)]
        raise DataError(f"a mask holds ids {illegal}, expected {spans(legal)}; is it a mask of another data set?")
    return labels


def _check_fold(split: Split, fold: Fold) -> None:
    if not set(fold.classes) <= set(split.classes):
        raise ValueError(f"{split.name}: fold {fold.index} is of other classes")


def _check(what: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise ValueError(f"unknown {what} {value!r}; there are: {', '.join(get_args(choices))}")

"""From a data set's mask ids to the labels a method trains on and to the truth it is scored against: one table lookup.

Unseen classes are removed here, before anything else (cropping, mining, losses) sees a label. The codes are those of
`methods.label_codes`. A truth of more classes than a byte counts is of 16 bits, its codes at the upper end of those
(`wide`); labels to train on are always bytes. No torch here.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from benchmarks.choices import Background, Border
from benchmarks.data.mask_file import BYTES, Mask, places, spans
from methods.label_codes import FIRST_CODE, IGNORED, UNLABELLED, UNSEEN_EXTENT, VOID
from splits.errors import DataError, UserError
from splits.loader import Fold, Split
from splits.settings import Setting

ILLEGAL: Final = 252  # in a table only: no mask of the data set may hold this id; class indices stay below

MOST_CLASSES: Final = ILLEGAL - 1  # of labels of a byte; one index more is background, where it is a class
WIDE: Final = 0xFF00  # what a code of 16 bits has more than that of a byte
MOST_WIDE_CLASSES: Final = MOST_CLASSES + WIDE

Labels = Mask  # of a byte or of 16 bits
Table = Mask  # (256,), or (65536,) where masks are of 16 bits


def code(label: int, type_: DTypeLike) -> int:
    """A code of `methods.label_codes` in labels of a type.

    >>> code(IGNORED, np.uint8), code(IGNORED, np.uint16)
    (255, 65535)
    """
    return label + (WIDE if np.dtype(type_) == np.uint16 else 0)


def class_indices(labels: Labels) -> NDArray[np.bool_]:
    """Where labels are class indices and no codes."""
    return labels < code(FIRST_CODE, labels.dtype)


def table_of(split: Split, entries: dict[int, int], *, wide: bool = False) -> Table:
    """A table of these entries, everything else illegal; `split.legal_ids` must all have one. wide: of 16 bits."""
    if split.legal_ids != entries.keys():
        raise ValueError(f"{split.name}: entries for {sorted(entries)}, expected {sorted(split.legal_ids)}")
    type_: type[np.unsignedinteger[Any]] = np.uint16 if wide else np.uint8
    table: Table = np.full(places(entries), code(ILLEGAL, type_), dtype=type_)
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
    if len(fold.classes) > MOST_CLASSES:
        raise UserError(
            f"{split.name}: {len(fold.classes)} classes to train on, and labels of a training are bytes, which hold "
            f"{MOST_CLASSES}; score methods on it that train nothing, or weights that were trained elsewhere"
        )
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
    """Mask id to truth: position in `fold.classes` (None: all of the split's); the code of IGNORED where none counts.

    `(256,)` or `(65536,)` by the mask ids, uint8 or uint16 by the number of classes. background: ignored, or with
    "class" one index past the classes. The data set's ignore id, and a class that a tune fold does not ask about, are
    always ignored.
    """
    _check("background", background, Background)
    if fold is not None:
        _check_fold(split, fold)
    index_of = {name: index for index, name in enumerate(fold.classes if fold else split.classes)}
    if len(index_of) > MOST_WIDE_CLASSES:
        raise ValueError(f"{split.name}: at most {MOST_WIDE_CLASSES} classes fit into 16 bits, got {len(index_of)}")
    wide = len(index_of) > MOST_CLASSES
    ignored = code(IGNORED, np.uint16 if wide else np.uint8)
    entries = {id_: index_of.get(name, ignored) for name, id_ in zip(split.classes, split.ids, strict=True)}
    if split.background_id is not None:
        entries[split.background_id] = ignored if background == "ignored" else len(index_of)
    if split.ignore_id is not None:
        entries[split.ignore_id] = ignored
    return table_of(split, entries, wide=wide)


def apply(table: Table, mask: Labels) -> Labels:
    """The mask's labels, `(H, W)`, of the table's type. Raises DataError naming ids that no mask may hold."""
    strange = code(ILLEGAL, table.dtype)
    if len(table) == BYTES and mask.dtype != np.uint8:
        labels = np.where(mask < BYTES, table[mask % BYTES], strange).astype(table.dtype)
    else:
        labels = table[mask]
    if (wrong := labels == strange).any():
        illegal = ", ".join(map(str, np.unique(mask[wrong])[:8]))
        legal = [int(id_) for id_ in np.flatnonzero(table != strange)]
        raise DataError(f"a mask holds ids {illegal}, expected {spans(legal)}; is it a mask of another data set?")
    return labels


def _check_fold(split: Split, fold: Fold) -> None:
    if not set(fold.classes) <= set(split.classes):
        raise ValueError(f"{split.name}: fold {fold.index} is of other classes")


def _check(what: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise ValueError(f"unknown {what} {value!r}; there are: {', '.join(get_args(choices))}")

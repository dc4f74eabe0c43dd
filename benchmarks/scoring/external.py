"""Predictions of any other system, by image id: index PNGs, or npz files with the best classes and their scores.

A class order (`classes`, names) says what an index means. An npz holds `classes` (k, H, W), whole numbers, and
`scores` (k, H, W): with them the sweep of seen-score shifts is made, where every scored pixel has a seen and an unseen
class among its k. Elsewhere what another shift would say is not known, and there is none.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data.file_facts import MaskFacts
from benchmarks.data.known_files import facts_of
from benchmarks.data.listing import files_below
from benchmarks.data.mask_file import read_raw
from benchmarks.data.reader import Reader
from benchmarks.data.survey import palette_words, seam_words
from benchmarks.labels import Table, apply, class_indices
from benchmarks.npz import SPOILT, refuse_bomb
from benchmarks.protocol import BACKGROUND
from benchmarks.scoring.boundary import BoundaryCount
from benchmarks.scoring.evaluate import Best, Evaluation, image_pairs
from benchmarks.scoring.seen_shift import ShiftSweep, shift_grid
from splits.errors import DataError, UserError, file_words, json_words
from splits.hashing import file_sha256
from splits.text import decoded, one_form

SUFFIXES: Final = (".png", ".npz")
SHOWN: Final = 5  # ids named in one line
MANY: Final = 0.6  # share of files with a thin class that is no accident; CLIP's own read-out has 0.2 of one class
AT_ONCE: Final = 0.2  # share of steps without a band between; made larger with interpolation they have fewer
SPAN: Final = 1.0  # of the sweep of shifts, where the class order says no other


@dataclass(frozen=True)
class ClassOrder:
    """What the indices of predictions mean."""

    names: tuple[str, ...]
    shift_span: float = SPAN


@dataclass(frozen=True)
class Predictions:
    """The files of one system's predictions."""

    files: Mapping[str, Path]  # by image id
    order: ClassOrder

    def sha256(self, ids: Sequence[str]) -> str:
        """Over the class order, and the id and bytes of each file, in this order."""
        content = hashlib.sha256(json.dumps([self.order.names, self.order.shift_span]).encode())
        for id_ in ids:
            content.update(f"\0{id_}\0{file_sha256(self.files[id_])}".encode())
        return content.hexdigest()


def read_order(path: Path) -> ClassOrder:
    """The JSON of a class order: a list of names, or an object with `classes` and perhaps `shift_span`."""
    try:
        content: Any = json.loads(decoded(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(f"class order {path} is missing; it is a JSON list of class names, index 0 first") from None
    except OSError as error:
        raise UserError(f"class order {path}: {file_words(error)}") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"class order {path} cannot be read as JSON ({json_words(error)})") from None
    except ValueError as error:  # of another encoding
        raise UserError(f"class order {path} cannot be read ({error})") from None
    names = content.get("classes") if isinstance(content, dict) else content
    span = content.get("shift_span", SPAN) if isinstance(content, dict) else SPAN
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"class order {path}: expected a list of names, or an object with such a list as `classes`")
    names = [one_form(name) for name in names]
    if len(set(names)) != len(names):
        raise UserError(f"class order {path}: names must differ from one another")
    if isinstance(span, bool) or not isinstance(span, int | float) or not 0 < span < 1e9:
        raise UserError(f"class order {path}: shift_span {span!r}, expected a number above 0 (and below 1e9)")
    return ClassOrder(tuple(names), float(span))


def find_predictions(
    folder: Path, order: ClassOrder, ids: Sequence[str], *, others: Collection[str] = ()
) -> Predictions:
    """The files of a folder, one for each of these ids; raises UserError naming ids without one and files without id.

    Files may lie in sub-folders where ids have a slash. What does not end in .png or .npz is passed over, and so are
    the files of `others`: images of the part that are not scored.
    """
    if not folder.is_dir():
        raise UserError(f"--predictions {folder}: there is no such folder")
    found: dict[str, Path] = {}
    for path in sorted(p for p in files_below(folder) if p.suffix.lower() in SUFFIXES):
        id_ = one_form(path.relative_to(folder).with_suffix("").as_posix())
        if id_ in found:
            raise UserError(f"{path} and {found[id_]} are both of image {id_}; leave one")
        found[id_] = path
    missing, extra = [id_ for id_ in ids if id_ not in found], sorted(found.keys() - {*ids, *others})
    problems = [f"no prediction for {_some(missing)}"] if missing else []
    problems += [f"no image of the part is called {_some(extra)}"] if extra else []
    if problems:
        raise UserError(f"{folder}: {'; '.join(problems)} ({len(ids)} images are scored; files end in .png or .npz)")
    wanted = set(ids)
    return Predictions({id_: path for id_, path in found.items() if id_ in wanted}, order)


def check_files(predictions: Predictions, *, jobs: int = 1) -> tuple[str, ...]:
    """What readers must know of predictions that are PNGs, all files read for it.

    Raises DataError where one cannot be read, or where a program chose the indices of their palettes file by file.
    """
    paths = [path for path in predictions.files.values() if path.suffix.lower() == ".png"]
    facts = [f for f in facts_of(paths, "mask", jobs=jobs) if isinstance(f, MaskFacts)]
    if problems := [f.problem.replace("mask", "prediction", 1) for f in facts if f.problem]:
        raise DataError(problems[0])
    if words := palette_words((path, f.colours, f.palette) for path, f in zip(paths, facts, strict=True)):
        raise DataError(f"predictions: {words[0]}")
    return tuple(f"predictions: {line}" for line in seam_words(facts, many=MANY, at_once=AT_ONCE))


def score_predictions(
    predictions: Predictions,
    reader: Reader,
    classes: Sequence[str],
    seen: Sequence[bool],
    table: Table,
) -> Evaluation:
    """Count stored predictions as `benchmarks.scoring.evaluate` counts those of a method.

    classes: as scored, with `seen` flags; the class order must hold the same names. table: mask ids to classes.
    There is one shift, 0, without scores, and where the k classes of a pixel hold no seen or no unseen one. Raises
    UserError naming images of another size or with other indices.
    """
    places = _places(predictions.order.names, classes)
    scored = {path.suffix.lower() for path in predictions.files.values()}
    if len(scored) > 1:
        raise UserError("some predictions are PNG and some npz; expected one kind")
    swept = scored == {".npz"}
    alone = all(seen)  # no class is unseen: no shift matters, and with many classes the sweep would be large
    shifts = shift_grid(0.0, predictions.order.shift_span) if swept and not alone else np.zeros(1)
    sweep, flags = ShiftSweep(len(classes), shifts, 0.0), np.asarray(seen)
    near, per_image, wrong, ignored, start = BoundaryCount(len(classes)), [], [], 0, time.perf_counter()
    both = swept  # does every pixel have a seen and an unseen class among its k?
    for index, id_ in enumerate(reader.ids):
        truth = apply(table, reader.mask(index))
        read = _top(predictions.files[id_]) if swept else _indices(predictions.files[id_])
        if read[0].shape[-2:] != truth.shape:
            wrong.append(f"{id_} ({_size(read[0])} instead of {_size(truth)})")
            continue
        labelled = class_indices(truth)
        there = torch.from_numpy(truth[labelled].astype(np.int64))
        said, scores = read[0][..., labelled], read[1][..., labelled]  # (k, P)
        best = _best(_renamed(said, places, id_), scores, flags)
        both = both and all(bool(values.isfinite().all()) for values, _ in best)
        prediction = sweep.add(there, *best)
        per_image.append(image_pairs(index, there, prediction, len(classes)))
        near.add(truth, there, prediction)
        ignored += truth.size - len(there)
    if wrong:
        raise UserError(f"predictions of another size than their masks (width x height): {_some(wrong)}")
    took = time.perf_counter() - start
    counts = np.concatenate(per_image) if per_image else np.zeros((0, 4), np.int64)
    own = sweep.own_index
    known = slice(None) if both or alone else slice(own, own + 1)
    matrices = (sweep.shifts[known], 0 if known.stop else own, sweep.matrices()[known], counts)
    return Evaluation(*matrices, len(reader), ignored, took, None, near.matrix)


def cut_words(predictions: Predictions, evaluation: Evaluation, seen: Sequence[bool]) -> tuple[str, ...]:
    """What readers must know of predictions with scores of which no other shift than their own is known."""
    npz = any(path.suffix.lower() == ".npz" for path in predictions.files.values())
    if not npz or all(seen) or len(evaluation.shifts) > 1:
        return ()
    return (
        "at some pixels the best classes stored hold no seen, or no unseen class, so that no other shift of the seen "
        "scores than their own is known; store the best of both at every pixel",
    )


def _places(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Where each class of the order stands among those that are scored."""
    classes = [one_form(name) for name in classes]
    missing, extra = [c for c in classes if c not in names], [n for n in names if n not in classes]
    if missing or extra:
        which = f", which {'is' if len(extra) == 1 else 'are'} not scored"
        problems = [f"without {_some([*map(repr, missing)])}"] if missing else []
        problems += [f"with {_some([*map(repr, extra)])}{which}"] if extra else []
        raise UserError(
            f"the class order is {' and '.join(problems)}; expected these names, letter by letter, also those "
            f"that are never said: {', '.join(classes)}{_background_words(extra)}"
        )
    return np.array([classes.index(name) for name in names])


def _background_words(extra: Sequence[str]) -> str:
    """What to do where background is among the names that are not scored."""
    if BACKGROUND not in extra:
        return ""
    return (
        f". Pixels of {BACKGROUND} are not scored: say the best other class at every pixel and leave "
        f"{BACKGROUND!r} out of the order, or score it too, by --background class --background-below T"
    )


def _indices(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`(1, H, W)` indices of a PNG, all of one score."""
    indices = read_raw(path, "prediction").values.astype(np.int64)[None]
    return indices, np.zeros(indices.shape, np.float32)


def _top(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`(k, H, W)` classes, in rising order at each pixel, and their scores."""
    try:
        with zipfile.ZipFile(path) as packed:
            refuse_bomb(packed, packed.namelist())
        with np.load(path, allow_pickle=False) as content:
            if lacking := [name for name in ("classes", "scores") if name not in content.files]:
                there = ", ".join(content.files) or "nothing"
                raise DataError(
                    f"prediction {path} has no {' and no '.join(lacking)}, but {there}; "
                    "expected both, (k, H, W) each; where there is an index a pixel alone, save it as PNG"
                )
            classes, scores = content["classes"], content["scores"]
    except SPOILT as error:
        raise DataError(f"prediction {path} cannot be read: {' '.join(str(error).split())}") from None
    if classes.ndim != 3 or classes.shape != scores.shape or not classes.size:
        raise DataError(f"prediction {path}: classes {classes.shape}, scores {scores.shape}; expected (k, H, W) twice")
    if classes.dtype.kind not in "iu" or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise DataError(f"prediction {path}: expected classes as whole numbers and scores as finite numbers")
    order = np.argsort(classes, axis=0, kind="stable")
    classes, scores = (np.take_along_axis(array, order, axis=0) for array in (classes, scores))
    if (np.diff(classes.astype(np.int64), axis=0) == 0).any():
        raise DataError(f"prediction {path}: a class stands twice at one pixel")
    return classes.astype(np.int64), scores


def _renamed(said: NDArray[np.int64], places: NDArray[np.int64], id_: str) -> NDArray[np.int64]:
    """Indices of the order as indices of the scored classes; raises UserError for others on labelled pixels."""
    strange = np.unique(said[(said < 0) | (said >= len(places))])
    if len(strange):
        raise UserError(
            f"prediction of {id_} holds index {', '.join(map(str, strange[:SHOWN]))} where the truth has a class; "
            f"expected 0..{len(places) - 1}, the places in the class order"
        )
    return places[said]


def _best(said: NDArray[np.int64], scores: NDArray[Any], seen: NDArray[np.bool_]) -> tuple[Best, Best]:
    """The best seen and the best unseen class of each pixel `(P,)`; a kind that is not there has score -inf."""
    found = []
    rising = np.argsort(said, axis=0, kind="stable")  # renaming may have changed which class is the lower one
    said, scores = np.take_along_axis(said, rising, axis=0), np.take_along_axis(scores, rising, axis=0)
    for kind in (True, False):
        own = np.where(seen[said] == kind, scores.astype(np.float64), -np.inf)
        first = own.argmax(axis=0)[None]  # ties: the lowest class
        pair = (np.take_along_axis(array, first, axis=0)[0] for array in (own, said))
        value, class_ = (torch.from_numpy(np.ascontiguousarray(array)) for array in pair)
        found.append((value, class_))
    return found[0], found[1]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[-1]}x{array.shape[-2]}"

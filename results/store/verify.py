"""Are stored records what they say? Every one below some roots, its numbers computed again from its matrices.

`store.folders` refuses a record that cannot be read, is of another schema, or whose matrices are not the ones it was
written with. Here its scores must also be those of its matrices: nobody edits a number unseen. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.npz import SPOILT
from benchmarks.spec import EvalSpec, TrainSpec
from benchmarks.values import Value
from results.store.confusion import ARRAYS, counted
from results.store.folders import CARD, SPEC, CorruptRecord, Stored, read_json
from results.store.identity import settle
from results.store.metrics import measured
from results.store.record import LATER, Result, Scores
from splits.errors import UserError

TOLERANCE = 1e-12  # of a fraction: another NumPy may add in another order


def problems(found: Sequence[Stored | CorruptRecord]) -> Iterator[str]:
    """One line for each thing that is wrong, in the order of the records; duplicates and conflicts last."""
    sound: list[Stored] = []
    for item in found:
        if isinstance(item, CorruptRecord):
            yield str(item)
            continue
        wrong = wrong_with(item)
        yield from wrong
        if not wrong:
            sound.append(item)
    yield from copies(sound)


def wrong_with(stored: Stored) -> list[str]:
    """A line for each thing that is wrong with one record."""
    return [f"{stored.path}: {reason}" for reason in (*misplaced(stored), *disagreements(stored))]


def misplaced(stored: Stored) -> Iterator[str]:
    """Does the record lie in the folders that its specs name, and do the files beside it say the same?"""
    result, folder = stored.record.result, stored.path.parent
    expected = Path(result.train.folder, "evals", result.evaluation.key)
    if folder.parts[-len(expected.parts) :] != expected.parts:
        yield f"lies in another folder than its specs name ({expected}); it was moved, or its specs were edited"
    yield from _other_spec(folder / SPEC, EvalSpec, result.evaluation)
    run = folder.parent.parent
    yield from _other_spec(run / SPEC, TrainSpec, result.train)
    yield from _other_weights(run / CARD, result)


def _other_spec(path: Path, kind: type[Value], expected: Value) -> Iterator[str]:
    """A spec beside a record need not be there (records travel alone), but it must not be another one."""
    try:
        if path.exists() and kind.parse(read_json(path), source=str(path)).digest() != expected.digest():
            yield f"{path.name} in {path.parent.name} is another spec than the record's"
    except (UserError, OSError) as error:
        yield str(error)


def _other_weights(card: Path, result: Result) -> Iterator[str]:
    try:
        if card.exists():
            said = read_json(card)
            if not isinstance(said, dict) or said.get("weights_sha256") != result.weights_sha256:
                yield f"the weights in its folder ({card.name}) are not the ones that were scored"
    except (UserError, OSError) as error:
        yield str(error)


def disagreements(stored: Stored) -> Iterator[str]:
    """Every number of the record that is not the one its matrices give."""
    result = stored.record.result
    try:
        found = counts_beside(stored.confusion)
        shifts, own, matrices = found["shifts"], int(found["own_index"]), found["matrices"]
        expected = measured(result.evaluation.side, shifts, own, matrices)
    except SPOILT as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        yield f"{stored.confusion.name} does not hold the matrices of this record ({reason})"
        return
    for name, value in expected.items():
        yield from _unequal(name, getattr(result, name), value)
    yield from impossible_beside(found, matrices[own], result)


def impossible_beside(found: Mapping[str, NDArray[Any]], matrix: NDArray[np.int64], result: Result) -> Iterator[str]:
    """What cannot be of the counts that lie beside the matrix at the own shift; all arrays as `counts_beside` has them.

    matrix: `(C, C)` [truth, prediction].
    """
    if "per_image" in found:
        yield from _of_images(found["per_image"], matrix, result)
    if "boundary" in found and ((found["boundary"] > matrix) | (found["boundary"] < 0)).any():
        yield "more pixels are counted near boundaries than there are, or fewer than none"


def _of_images(rows: NDArray[Any], matrix: NDArray[np.int64], result: Result) -> Iterator[str]:
    """Counts of single images, which intervals are drawn from, must add up to the matrix."""
    _, truth, said, pixels = rows.T
    if int(pixels.sum()) != result.labelled_pixels:
        yield f"labelled_pixels is {result.labelled_pixels}, its images have {int(pixels.sum())}"
    elif (rows < 0).any() or (rows[:, :3] >= (result.images, *matrix.shape)).any():
        yield "counts of single images name images or classes that are not there, or fewer pixels than none"
    elif (np.bincount(truth * len(matrix) + said, pixels, matrix.size) != matrix.ravel()).any():
        yield "counts of single images do not add up to the matrix at the own shift"


def counts_beside(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file beside a record, of shapes that fit; raises one of `benchmarks.npz.SPOILT`."""
    found = counted(path, ARRAYS)
    shifts, own, matrices = found["shifts"], int(found["own_index"]), found["matrices"]
    if matrices.ndim != 3 or len(shifts) != len(matrices) or not 0 <= own < len(shifts):
        raise ValueError(f"{len(shifts)} shifts, own {own}, matrices of shape {matrices.shape}")
    if "per_image" in found and (found["per_image"].ndim != 2 or found["per_image"].shape[1] != 4):
        raise ValueError(f"counts of images of shape {found['per_image'].shape}")
    if "boundary" in found and found["boundary"].shape != matrices.shape[1:]:
        raise ValueError(f"counts near boundaries of shape {found['boundary'].shape}")
    return found


def _unequal(name: str, stored: object, expected: object) -> Iterator[str]:
    """Where two values differ, in words, down to the single number."""
    if isinstance(stored, tuple) and isinstance(expected, tuple):
        if len(stored) != len(expected):
            yield f"{name} has {len(stored)} entries, its matrices have {len(expected)}"
            return
        for mine, theirs in zip(stored, expected, strict=True):
            yield from _unequal(f"{name} {getattr(mine, 'name', '')}", mine, theirs)
    elif isinstance(stored, Value) and isinstance(expected, Value):
        for field in type(stored).model_fields:
            if isinstance(stored, Scores) and field in LATER and getattr(stored, field) is None:
                continue  # from before it was stored
            yield from _unequal(f"{name}.{field}", getattr(stored, field), getattr(expected, field))
    elif isinstance(stored, float) and isinstance(expected, float):
        if abs(stored - expected) > TOLERANCE:
            yield f"{name} is {stored}, its matrices give {expected}"
    elif stored != expected:
        yield f"{name} is {stored}, its matrices give {expected}"


def copies(found: Iterable[Stored]) -> Iterator[str]:
    """Records of one run that lie there twice, and those of one run that do not agree."""
    places: dict[str, list[Stored]] = {}
    for stored in found:
        result = stored.record.result
        places.setdefault(f"{result.train.digest()} {result.evaluation.digest()}", []).append(stored)
    for same in places.values():
        if len(same) > 1 and all(same[0].record.same_result(other.record) for other in same[1:]):
            where = ", ".join(str(stored.path.parent) for stored in same)
            yield f"the same record lies in {len(same)} folders; keep one: {where}"
    _, conflicts = settle(stored.record for same in places.values() for stored in same)
    yield from (conflict.words() for conflict in conflicts)

"""Stored records by the thousand, each with counts of its own and the numbers that these counts give.

Each is a reference record with another seed whose pixels were moved a little between predictions: truths stay, counts
of images add up to the matrix at the own shift, and every number is computed anew from the matrices. So nothing that
looks records over, or draws from their counts, can take two of them for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.store.confusion import ARRAYS, counted, packed
from results.store.folders import load_record
from results.store.metrics import measured
from results.store.record import Phase, RunRecord
from tests.speed.process import PROJECT

REFERENCE = PROJECT / "results" / "reference"
MOVED = 0.05  # of the pairs of truth and prediction in an image


def write(root: Path, count: int, methods: Sequence[str] = ("*",)) -> int:
    """Write `count` records below `root`, seed after seed over the reference's runs of seed 0; returns how many."""
    paths = [path for name in methods for path in sorted(REFERENCE.glob(f"*/{name}/fold*-seed0-*/evals/*/record.json"))]
    originals = [(load_record(path), counted(path.with_name("confusion.npz"), ARRAYS)) for path in paths]
    for made in range(count):
        seed, which = divmod(made, len(originals))
        record, counts = originals[which]
        _write_one(root, record, moved(counts, np.random.default_rng([made, seed])), seed)
    return count


def moved(counts: dict[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Counts with some pixels of some images given to another prediction, at every shift alike where there are any."""
    rows, matrices, own = counts["per_image"].copy(), counts["matrices"].copy(), int(counts["own_index"])
    classes = matrices.shape[1]
    chosen = np.flatnonzero(rng.random(len(rows)) < MOVED)
    pixels = rng.integers(0, rows[chosen, 3] + 1)
    said = rng.integers(0, classes, len(chosen))
    rows[chosen, 3] -= pixels
    added = np.stack([rows[chosen, 0], rows[chosen, 1], said, pixels], axis=1)
    rows = _summed(np.concatenate([rows, added]), classes)
    change = np.zeros_like(matrices[0])
    np.add.at(change, (added[:, 1], said), pixels)
    np.subtract.at(change, (added[:, 1], counts["per_image"][chosen, 2]), pixels)
    for place, matrix in enumerate(matrices):
        if place == own or (matrix + change >= 0).all():
            matrix += change
    boundary = {"boundary": np.minimum(counts["boundary"], matrices[own])} if "boundary" in counts else {}
    return counts | {"per_image": rows, "matrices": matrices} | boundary


def _summed(rows: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Each image, truth and prediction once, in their order, without those of no pixel."""
    places = (rows[:, 0] * classes + rows[:, 1]) * classes + rows[:, 2]
    unique, inverse = np.unique(places, return_inverse=True)
    pixels = np.bincount(inverse, rows[:, 3]).astype(np.int64)
    image, truth, said = unique // classes**2, unique // classes % classes, unique % classes
    return np.stack([image, truth, said, pixels], axis=1)[pixels > 0]


def _write_one(root: Path, record: RunRecord, counts: dict[str, NDArray[Any]], seed: int) -> None:
    result = record.result
    train = result.train.model_copy(update={"seed": seed})
    side = result.evaluation.side
    file = packed({name: counts.get(name) for name in ARRAYS})
    numbers = measured(side, counts["shifts"], int(counts["own_index"]), counts["matrices"])
    numbers |= {"train": train, "confusion_sha256": hashlib.sha256(file).hexdigest()}
    numbers["weights_sha256"] = hashlib.sha256(f"{train.folder}".encode()).hexdigest()
    scoring = record.provenance.scoring.model_copy(
        update={"seconds": 20.0, "cpu_seconds": 19.0, "device_seconds": 20.0}
    )
    training: Phase | None = record.provenance.training or scoring
    provenance = record.provenance.model_copy(update={"training": training, "scoring": scoring})
    made = record.model_copy(update={"result": result.model_copy(update=numbers), "provenance": provenance})
    folder = root / train.folder / "evals" / result.evaluation.key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "confusion.npz").write_bytes(file)
    (folder / "record.json").write_text(made.model_dump_json(indent=1), encoding="utf-8")

"""Hand-made records: numbers chosen so that a reader can check the tables in the head."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocol import DataSource, EvalSide, Inference, Protocol, Queries, TrainSide
from benchmarks.scoring.metrics import harmonic
from benchmarks.spec import ClipId, EvalSpec, Recipe, TrainSpec
from benchmarks.training.augmentation import Augmentation
from methods.method_entry import MethodEntry
from results.store.metrics import measured
from results.store.record import ClassCounts, Costs, Phase, Provenance, Result, RunRecord, Scores
from results.tables.judge import Judge
from results.tables.statistics import Counts
from splits.loader import Fold, Split

CLASSES = ("ant", "bee", "cow", "dog")
NOTE = "A made-up benchmark: its numbers are evidence of nothing."
TINY = ClipId(model="tiny", pretrained="file", sha256="c1" * 32)
PAPER = Recipe(name="paper", iterations=300, batch=16, augmentation=Augmentation(), lr=1e-3)
SHAPES = PAPER.model_copy(update={"name": "shapes"})
UNTRAINED = Recipe(name="none", iterations=0, batch=16, augmentation=Augmentation(), lr=1e-3)


def split(name: str = "toy-2i", folds: int = 2, note: str = NOTE) -> Split:
    """Fold i hides class i of four."""
    return Split(
        name=name,
        dataset="toy",
        classes=CLASSES,
        ids=(1, 2, 3, 4),
        background_id=0,
        ignore_id=255,
        folds=tuple(Fold(i, CLASSES, seen_of(i), (CLASSES[i],)) for i in range(folds)),
        train_list=None,
        val_list=None,
        train_sha256=None,
        val_sha256=None,
        note=note,
    )


def seen_of(fold: int) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(CLASSES) if i != fold)


def _sides(fold: int, **evaluation: Any) -> tuple[TrainSide, EvalSide]:
    data = DataSource(dataset="toy", ids_sha256="d0" * 32, mask_rule="drawn")
    queries = Queries(texts=CLASSES, templates=("a {}.",))
    shared: dict[str, Any] = {"classes": CLASSES, "seen": seen_of(fold), "queries": queries, "data": data}
    return TrainSide(**shared), EvalSide(**shared, **{"inference": Inference(short_side=64), **evaluation})


def specs(
    method: str = "alpha", *, fold: int = 0, seed: int = 0, benchmark: str = "toy-2i", **changes: Any
) -> tuple[TrainSpec, EvalSpec]:
    """Both specs. changes: `background` and `kind` of the evaluation, its `part`, `limit`, and fields of TrainSpec."""
    sides = {"background": changes.pop("background"), "background_below": 0.5} if "background" in changes else {}
    sides |= {"kind": changes.pop("kind")} if "kind" in changes else {}
    part, limit = changes.pop("part", "val"), changes.pop("limit", None)
    train_side, eval_side = _sides(fold, **sides)
    fields: dict[str, Any] = {"clip": TINY, "recipe": PAPER, "limit": limit, **changes}
    train = TrainSpec(method=method, benchmark=benchmark, fold=fold, seed=seed, side=train_side, **fields)
    return train, EvalSpec(benchmark=benchmark, fold=fold, part=part, side=eval_side, limit=limit)


def _scores(seen: float | None, unseen: float | None, shift: float) -> Scores:
    both = None if seen is None or unseen is None else harmonic(seen, unseen)
    return Scores(shift=shift, pacc=seen, miou_seen=seen, miou_unseen=unseen, hiou=both)


def record(
    method: str = "alpha",
    seen: float | None = 0.5,
    unseen: float | None = 0.25,
    *,
    shift: float = 0.0,
    partial: bool = False,
    confusion_sha256: str = "0" * 64,
    device: str = "cpu",
    family: str | None = None,
    **changes: Any,
) -> RunRecord:
    """A record whose three shifts score: own as given; without, unseen .1 lower; at the best, unseen .1 higher."""
    train, evaluation = specs(method, **changes)
    protocol = Protocol(train=train.side, evaluation=evaluation.side)
    lower, higher = (None if unseen is None else max(unseen + step, 0.0) for step in (-0.1, 0.1))
    result = Result(
        train=train,
        evaluation=evaluation,
        protocol_hash=protocol.hash,
        family_hash=family or protocol.family,
        own=_scores(seen, unseen, shift),
        unshifted=_scores(seen, lower, 0.0),
        best=_scores(seen, higher, 0.2),
        classes=tuple(ClassCounts(name=c, seen=c in train.side.seen, tp=1, fp=1, fn=0, iou=0.5) for c in CLASSES),
        images=4,
        labelled_pixels=3000,
        ignored_pixels=7000,
        confusion_sha256=confusion_sha256,
        weights_sha256="e" * 64,
        clip_sha256=train.clip.sha256 if train.clip else "",
        partial=partial,
    )
    return RunRecord(result=result, costs=_costs(), provenance=_provenance(device))


def _costs() -> Costs:
    return Costs(parameters_trainable=10, parameters_total=100)


def _provenance(device: str) -> Provenance:
    scoring = Phase(
        commit="",
        dirty=False,
        packages={},
        python="3.11",
        host=f"{device}-host",
        device=device,
        threads=1,
        deterministic=True,
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:01:00Z",
        attempts=1,
    )
    return Provenance(sources_sha256="a" * 64, scoring=scoring)


def methods(*names: str, group: str = "comparison") -> dict[str, MethodEntry]:
    """Entries of these names, for a registry of a test."""
    made = {"title": "", "config": "", "builder": "", "fidelity": "exact", "needs": "nothing"}
    return {name: MethodEntry(group=group, **made) for name in names}  # type: ignore[arg-type]


def counts(train: TrainSpec, images: int = 4, scored: int = 4) -> dict[str, Any]:
    """Confusion matrices at three shifts and the counts of each image, drawn by method, fold and seed."""
    rng = np.random.default_rng([len(train.method), train.fold, train.seed])
    own = rng.integers(1, 30, (images, scored, scored)) + 40 * np.eye(scored, dtype=np.int64)
    image, truth, predicted = np.nonzero(own)
    total = own.sum(axis=0)
    return {
        "shifts": np.array([-0.1, 0.0, 0.2]),
        "own_index": 1,
        "matrices": np.stack([total + 5, total, total + 9]),
        "per_image": np.stack([image, truth, predicted, own[image, truth, predicted]], axis=1),
        "boundary": total // 3,
    }


def store(root: Path, **changes: Any) -> tuple[Path, RunRecord]:
    """Lay a record and its counts where a run would, its numbers those of the counts; returns the record's path."""
    made = record(**changes)
    train, evaluation = made.result.train, made.result.evaluation
    folder = root / train.folder / "evals" / evaluation.key
    folder.mkdir(parents=True)
    matrix = folder / "confusion.npz"
    drawn = counts(train, scored=len(evaluation.side.scored))
    with open(matrix, "wb") as file:
        np.savez(file, **drawn)
    numbers = measured(evaluation.side, drawn["shifts"], drawn["own_index"], drawn["matrices"])
    numbers["confusion_sha256"] = hashlib.sha256(matrix.read_bytes()).hexdigest()
    made = made.model_copy(update={"result": made.result.model_copy(update=numbers)})
    (folder / "record.json").write_text(made.model_dump_json())
    return folder / "record.json", made


def image_counts(made: RunRecord) -> Counts:
    """Counts of eight images whose classes have the record's own mIoU(S) and mIoU(U), easy images and hard ones."""
    own, evaluation = made.result.own, made.result.evaluation
    seen = np.array(evaluation.side.scored_as_seen)
    iou = np.where(seen, np.nan if own.miou_seen is None else own.miou_seen, own.miou_unseen or 0.0)
    easy = np.array([-0.5, -0.25, -0.1, -0.05, 0.05, 0.1, 0.25, 0.5])[:, None] * np.minimum(iou, 1 - iou)
    truth = np.full((8, len(seen)), 1000.0) * (seen | (own.miou_unseen is not None))
    hit = truth * (iou + easy)
    listed = f"{evaluation.side.data.ids_sha256} {evaluation.limit}"
    return Counts(hit, truth, hit, seen, images=listed, rule=evaluation.side.absent_class)


def judge(records: Iterable[RunRecord]) -> Judge:
    """What judges the tables of hand-made records."""
    return Judge(image_counts, list(records))

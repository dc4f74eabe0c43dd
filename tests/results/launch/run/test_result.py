"""From counts to the part of a record that must repeat bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
from benchmarks.protocol import DataSource, EvalSide, Inference, Queries, TrainSide
from benchmarks.scoring.evaluate import Evaluation
from benchmarks.spec import EvalSpec, Recipe, TrainSpec
from benchmarks.training.augmentation import Augmentation
from results.launch.plan.request import Run
from results.launch.run.result import result_of
from results.store.record import Result

CLASSES = ("ant", "bee", "cow", "dog")
SEEN = ("ant", "cow")
SHIFTS = np.array([-0.5, 0.0, 0.1, 0.5])
OWN = 2


def run(*, limit: int | None = None, train_partial: bool = False, partial: bool = False, **side: Any) -> Run:
    shared: dict[str, Any] = {
        "classes": CLASSES,
        "seen": SEEN,
        "queries": Queries(texts=CLASSES, templates=("a {}",)),
    }
    data = DataSource(dataset="toy", ids_sha256="11" * 32, mask_rule="drawn")
    train = TrainSide(**shared, data=data.model_copy(update={"partial": train_partial}))
    asked = EvalSide(
        **shared, data=data.model_copy(update={"partial": partial}), inference=Inference(short_side=8), **side
    )
    recipe = Recipe(name="paper", iterations=1, batch=1, augmentation=Augmentation(), lr=1.0)
    return Run(
        TrainSpec(method="random", benchmark="toy", fold=0, seed=0, side=train, recipe=recipe, limit=limit),
        EvalSpec(benchmark="toy", fold=0, side=asked, limit=limit),
    )


def evaluation(matrices: np.ndarray, shifts: np.ndarray = SHIFTS, own: int = OWN) -> Evaluation:
    return Evaluation(
        shifts=shifts,
        own_index=own,
        matrices=matrices,
        per_image=np.zeros((0, 4), np.int64),
        images=7,
        ignored_pixels=13,
        seconds=1.0,
        images_per_second=None,
    )


def result(matrices: np.ndarray, asked: Run | None = None, **kwargs: Any) -> Result:
    return result_of(
        asked or run(),
        evaluation(matrices, **kwargs),
        curve=[(5, {"a": 0.5}), (10, {"a": 0.25})],
        confusion_sha256="c",
        weights_sha256="w",
        clip_sha256="k",
    )


def random_matrices(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 100, (len(SHIFTS), 4, 4))


def slow(matrix: np.ndarray) -> dict[str, float]:
    """pAcc, mIoU, S, U and hIoU by loops over pixels counted one class at a time."""
    iou = []
    for c in range(4):
        hit = int(matrix[c, c])
        union = sum(int(matrix[c, j]) for j in range(4)) + sum(int(matrix[j, c]) for j in range(4)) - hit
        iou.append(hit / union)
    seen, unseen = (iou[0] + iou[2]) / 2, (iou[1] + iou[3]) / 2
    return {
        "pacc": sum(int(matrix[c, c]) for c in range(4)) / int(matrix.sum()),
        "miou": sum(iou) / 4,
        "miou_seen": seen,
        "miou_unseen": unseen,
        "hiou": 2 * seen * unseen / (seen + unseen),
    }


def values(scores) -> dict[str, float]:
    return scores.model_dump(exclude={"shift", "fb_iou", "miou_foreground"})


def test_own_unshifted_and_best() -> None:
    """Fails when a row of the table is taken from the matrix of another shift."""
    matrices = random_matrices()
    found, expected = result(matrices), [slow(matrix) for matrix in matrices]
    top = int(np.argmax([e["hiou"] for e in expected]))
    for scores, index in ((found.own, OWN), (found.unshifted, 1), (found.best, top)):
        assert scores.shift == SHIFTS[index]
        assert values(scores) == pytest.approx(expected[index], rel=1e-12)
    assert found.best.hiou >= max(found.own.hiou, found.unshifted.hiou)


def test_best_is_found_wherever_it_is() -> None:
    """Fails when the oracle looks at some of the shifts only, or at another score than hIoU."""
    poor, good = np.ones((4, 4), dtype=np.int64), np.diag([9, 9, 9, 9])
    for place in range(4):
        matrices = np.stack([good if i == place else poor for i in range(4)])
        assert result(matrices).best.shift == SHIFTS[place]
    one_sided = np.diag([99, 0, 99, 0]) + 1  # high accuracy, low hIoU
    assert result(np.stack([one_sided, good, poor, poor])).best.shift == 0.0


def test_equal_best_shifts_are_settled() -> None:
    """Fails when which of two equally good shifts is the best depends on chance."""
    assert result(np.stack([np.ones((4, 4), dtype=np.int64)] * 4)).best.shift == SHIFTS[0]


def test_classes_are_counted_at_the_own_shift() -> None:
    """Fails when counts are of another shift, or rows and columns are exchanged."""
    matrices = random_matrices(3)
    found, matrix = result(matrices), matrices[OWN]
    assert [c.name for c in found.classes] == list(CLASSES)
    assert [c.seen for c in found.classes] == [True, False, True, False]
    for i, c in enumerate(found.classes):
        assert c.tp == matrix[i, i]
        assert c.fn == sum(matrix[i, j] for j in range(4) if j != i)  # truth i, predicted otherwise
        assert c.fp == sum(matrix[j, i] for j in range(4) if j != i)
        assert c.iou == pytest.approx(c.tp / (c.tp + c.fp + c.fn), rel=1e-12)
    assert found.labelled_pixels == matrix.sum()
    assert (found.images, found.ignored_pixels) == (7, 13)


@pytest.mark.parametrize(("rule", "iou"), [("skip", 0.0), ("skip-absent-in-truth", None)])
def test_absent_classes_follow_the_protocol(rule: str, iou: float | None) -> None:
    """Fails when a class that is only predicted is averaged against the protocol's rule."""
    matrix = np.array([[5, 5, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0], [0, 0, 0, 5]])
    found = result(np.stack([matrix] * 4), run(absent_class=rule))
    assert found.classes[1].iou == iou
    assert found.own.miou_unseen == (0.5 if rule == "skip" else 1.0)


def test_what_is_undefined_is_none() -> None:
    """Fails when a mean over no class becomes 0, or NaN, which no JSON holds."""
    found = result(np.zeros((4, 4, 4), dtype=np.int64))
    for scores in (found.own, found.unshifted, found.best):
        assert set(values(scores).values()) == {None}
    assert all(c.iou is None for c in found.classes)
    only_seen = np.diag([3, 0, 4, 0])
    found = result(np.stack([only_seen] * 4))
    assert (found.own.miou_seen, found.own.miou_unseen, found.own.hiou) == (1.0, None, None)
    assert found.own.pacc == 1.0


def test_best_ignores_shifts_without_a_value() -> None:
    """Fails when an undefined hIoU wins, or beats an hIoU of 0."""
    undefined, zero = np.diag([3, 0, 4, 0]), np.array([[0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 0, 3], [0, 0, 3, 0]])
    found = result(np.stack([undefined, undefined, zero, undefined]))
    assert (found.best.shift, found.best.hiou) == (SHIFTS[2], 0.0)


@pytest.mark.parametrize(
    ("changes", "partial"),
    [({}, False), ({"limit": 2}, True), ({"train_partial": True}, True), ({"partial": True}, True)],
)
def test_partial_runs_are_marked(changes: dict, partial: bool) -> None:
    """Fails when a run on part of the data, of either side, could enter a table unmarked."""
    assert result(random_matrices(), run(**changes)).partial is partial


def test_what_identifies_the_run() -> None:
    """Fails when a record forgets a spec, a hash, or its losses."""
    asked = run()
    found = result(random_matrices(), asked)
    assert (found.train, found.evaluation) == (asked.train, asked.evaluation)
    assert len(found.protocol_hash) == len(found.family_hash) == 64
    assert found.protocol_hash != found.family_hash
    assert (found.confusion_sha256, found.weights_sha256, found.clip_sha256) == ("c", "w", "k")
    assert [(p.step, p.losses) for p in found.losses] == [(5, {"a": 0.5}), (10, {"a": 0.25})]


def test_survives_storing_bit_for_bit() -> None:
    """Fails when a float is rounded on its way to disk, so that a repeated run would seem to differ."""
    found = result(random_matrices(9))
    again = Result.parse(found.model_dump(mode="json"), source="record.json")
    assert again == found
    assert again.digest() == found.digest()
    assert all(math.isfinite(v) for v in values(again.own).values())


def test_items_have_the_unseen_classes_alone() -> None:
    """Fails when an item's background is counted for a class, FB-IoU is a mean over classes, or a shift is reported."""
    matrix = np.zeros((4, 4), dtype=np.int64)
    matrix[:2, :2], matrix[2:, 2:] = [[6, 1], [2, 3]], [[40, 0], [30, 10]]  # others and bee, others and dog
    found = result(matrix[None], run(kind="episodic-binary"), shifts=np.zeros(1), own=0)
    assert [(c.name, c.seen, c.tp, c.fp, c.fn) for c in found.classes] == [
        ("bee", False, 3, 1, 2),
        ("dog", False, 10, 0, 30),
    ]
    assert [c.iou for c in found.classes] == [0.5, 0.25]
    assert found.own.miou_unseen == 0.375
    assert found.own.fb_iou == pytest.approx((46 / 79 + 13 / 46) / 2)  # areas of both classes together
    assert found.own.pacc == pytest.approx(59 / 92)
    assert (found.own.miou_seen, found.own.hiou, found.own.shift) == (None, None, 0.0)
    assert found.own == found.unshifted == found.best

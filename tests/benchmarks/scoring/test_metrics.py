"""Scores against a slow version that looks at every pixel, against mmsegmentation, and against its recorded values."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.scoring.metrics import (
    harmonic,
    iou_per_class,
    mean,
    mean_of_rows,
    pixel_accuracy,
    stack_accuracy,
    stack_iou,
    summary,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden/evaluation"
RECORDED = json.loads((GOLDEN / "iou_metric.json").read_text())
NAN = float("nan")


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (truth[truth != 255], prediction[truth != 255]), 1)
    return matrix


def golden_maps(images: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    with np.load(GOLDEN / "iou_maps.npz") as maps:
        return [(maps[f"label{i}"], maps[f"pred{i}"]) for i in images]


def slow_iou(truth: np.ndarray, prediction: np.ndarray, class_: int, rule: str) -> float:
    """One class's IoU by sets of pixels."""
    t = {i for i, v in enumerate(truth.ravel()) if v == class_}
    p = {i for i, (v, w) in enumerate(zip(prediction.ravel(), truth.ravel(), strict=True)) if v == class_ and w != 255}
    if not (t if rule == "skip-absent-in-truth" else t | p):
        return NAN
    return len(t & p) / len(t | p)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(2, 6), st.sampled_from(["skip", "skip-absent-in-truth"]))
def test_equal_to_the_slow_version(data: st.DataObject, classes: int, rule: str) -> None:
    """Fails when any score differs from sets of pixels counted one by one."""
    shape = data.draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=7))
    truth = data.draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([*range(classes), 255])))
    prediction = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, classes - 1)))
    seen = data.draw(st.lists(st.booleans(), min_size=classes, max_size=classes))
    found = summary(confusion(truth, prediction, classes), seen, rule)
    iou = [slow_iou(truth, prediction, c, rule) for c in range(classes)]
    np.testing.assert_allclose(found.iou, iou, rtol=1e-12)
    labelled = [(t, p) for t, p in zip(truth.ravel(), prediction.ravel(), strict=True) if t != 255]
    pacc = sum(t == p for t, p in labelled) / len(labelled) if labelled else NAN
    s, u = (
        sum(present) / len(present)
        if (present := [v for v, f in zip(iou, seen, strict=True) if f == flag and v == v])
        else NAN
        for flag in (True, False)
    )
    h = NAN if s != s or u != u else 0.0 if s + u == 0 else 2 / (1 / s + 1 / u) if s and u else 0.0
    np.testing.assert_allclose(
        [found.pacc, found.miou_seen, found.miou_unseen, found.hiou], [pacc, s, u, h], rtol=1e-12
    )
    for c in range(classes):
        assert found.tp[c] == sum(t == p == c for t, p in labelled)
        assert found.fp[c] == sum(p == c != t for t, p in labelled)
        assert found.fn[c] == sum(t == c != p for t, p in labelled)


@pytest.mark.parametrize("case", ["all_six", "without_0_and_5", *(f"single/{i}" for i in range(6))])
def test_equal_to_the_recorded_metric(case: str) -> None:
    """Fails when IoU or accuracy differs from mmsegmentation 1.4.2's, whose values are float32."""
    key, _, image = case.partition("/")
    recorded = RECORDED[key][image] if image else RECORDED[key]
    matrix = sum(confusion(t, p, RECORDED["num_classes"]) for t, p in golden_maps(recorded["images"]))
    hit, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    assert hit.tolist() == recorded["total"]["intersect"]
    assert (truth + predicted - hit).tolist() == recorded["total"]["union"]
    iou = [NAN if v is None else v for v in recorded["iou_per_class"]]
    np.testing.assert_allclose(iou_per_class(matrix, "skip"), iou, rtol=2e-7)
    accuracy = recorded["aAcc_fraction"]
    np.testing.assert_allclose(pixel_accuracy(matrix), NAN if accuracy is None else accuracy, rtol=2e-7)
    if "seen_unseen_hiou" in recorded:
        values = recorded["seen_unseen_hiou"]
        found = summary(matrix, [c in values["seen"] for c in range(7)])
        for name, value in (("mIoU_seen", found.miou_seen), ("mIoU_unseen", found.miou_unseen), ("hIoU", found.hiou)):
            assert value == pytest.approx(values[name], rel=2e-7)


def test_equal_to_mmsegmentation_itself() -> None:
    """Fails when the installed mmsegmentation counts or averages otherwise than this file."""
    torch = pytest.importorskip("torch")
    metric = pytest.importorskip("mmseg.evaluation").IoUMetric
    rng = np.random.default_rng(5)
    areas, matrix = [], np.zeros((6, 6), dtype=np.int64)
    for _ in range(8):  # class 4 is never true, class 5 neither true nor predicted
        truth = rng.choice(np.array([0, 1, 2, 3, 255], dtype=np.uint8), size=(30, 40))
        prediction = np.where(rng.random((30, 40)) < 0.4, truth, rng.integers(0, 5, (30, 40))).astype(np.uint8)
        prediction[prediction == 255] = 0
        areas.append(
            metric.intersect_and_union(torch.from_numpy(prediction).float(), torch.from_numpy(truth).float(), 6, 255)
        )
        matrix += confusion(truth, prediction, 6)
    totals = [sum(area) for area in zip(*areas, strict=True)]
    theirs = metric.total_area_to_metrics(*totals, metrics=["mIoU"])
    np.testing.assert_allclose(iou_per_class(matrix, "skip"), theirs["IoU"], rtol=2e-7)
    assert pixel_accuracy(matrix) == pytest.approx(float(theirs["aAcc"]), rel=2e-7)


def test_absent_class_rules() -> None:
    """Fails when "predicted but absent" and "absent from both" are mixed up: class 2 is only predicted, 3 nowhere."""
    matrix = np.array([[8, 0, 2, 0], [0, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(iou_per_class(matrix, "skip"), [0.8, 1, 0, NAN])
    np.testing.assert_allclose(iou_per_class(matrix, "skip-absent-in-truth"), [0.8, 1, NAN, NAN])
    assert summary(matrix, [True, True, False, False]).miou_unseen == 0
    assert math.isnan(summary(matrix, [True, True, False, False], "skip-absent-in-truth").miou_unseen)
    assert summary(matrix, [True, True, False, False], "skip-absent-in-truth").fp == (0, 0, 2, 0)


@settings(max_examples=80, deadline=None)
@given(
    matrices=arrays.arrays(np.int64, st.tuples(st.integers(1, 3), st.just(4), st.just(4)), elements=st.integers(0, 3)),
    rule=st.sampled_from(["skip", "skip-absent-in-truth"]),
)
def test_many_matrices_at_once(matrices: np.ndarray, rule: str) -> None:
    """Fails when many matrices at once score otherwise than one by one, also where a score is undefined."""
    one_by_one = [summary(matrix, [True, True, False, False], rule) for matrix in matrices]  # type: ignore[arg-type]
    found = stack_iou(matrices, rule)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, [m.iou for m in one_by_one])
    np.testing.assert_array_equal(stack_accuracy(matrices), [m.pacc for m in one_by_one])
    np.testing.assert_allclose(mean_of_rows(found), [mean(m.iou) for m in one_by_one], rtol=1e-15)
    np.testing.assert_allclose(mean_of_rows(found[:, 2:]), [m.miou_unseen for m in one_by_one], rtol=1e-15)


def test_undefined_is_nan_and_never_zero() -> None:
    """Fails when a score that nothing defines looks like a bad score."""
    empty = summary(np.zeros((3, 3), dtype=np.int64), [True, True, False])
    assert all(math.isnan(v) for v in (empty.pacc, empty.miou_seen, empty.miou_unseen, empty.hiou, *empty.iou))
    assert empty.tp == (0, 0, 0)
    only_seen = summary(np.diag([3, 4, 0]), [True, True, False])
    assert (only_seen.miou_seen, only_seen.pacc) == (1, 1)
    assert math.isnan(only_seen.miou_unseen)
    assert math.isnan(only_seen.hiou)
    assert math.isnan(summary(np.diag([3, 4]), [True, True]).hiou)


def test_harmonic() -> None:
    """Fails when hIoU is some other mean, or a collapse on unseen classes is not 0."""
    assert harmonic(0.919, 0.778) == pytest.approx(0.84264, abs=1e-5)
    assert harmonic(0.5, 0.0) == harmonic(0.0, 0.0) == 0
    assert math.isnan(harmonic(0.5, NAN))
    assert math.isnan(harmonic(NAN, 0.0))


def test_mean() -> None:
    """Fails when an undefined class pulls a mean down, or indices are ignored."""
    assert mean([0.2, NAN, 0.4]) == pytest.approx(0.3)
    assert mean([0.2, NAN, 0.4], [1, 2]) == 0.4
    assert math.isnan(mean([NAN, 1.0], [0]))
    assert math.isnan(mean([0.5], []))


def test_exact_for_counts_beyond_float32() -> None:
    """Fails when counts pass through float32: one pixel in 2^24 would vanish."""
    matrix = np.array([[2**24, 1], [0, 2**24 + 1]])
    found = summary(matrix, [True, False])
    assert found.fn == (1, 0)
    assert found.iou[0] == 2**24 / (2**24 + 1)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((2, 3), dtype=int),
        np.zeros((0, 0), dtype=int),
        np.eye(2),
        -np.eye(2, dtype=int),
        np.zeros(3, dtype=int),
    ],
)
def test_bad_matrices(matrix: np.ndarray) -> None:
    """Fails when something that is no count of pixels is scored."""
    with pytest.raises(ValueError, match="confusion matrix"):
        iou_per_class(matrix)


def test_bad_mask_and_rule() -> None:
    """Fails when flags for other classes, or an unknown rule, are accepted."""
    with pytest.raises(ValueError, match="seen flags"):
        summary(np.eye(3, dtype=int), [True])
    with pytest.raises(ValueError, match="there are"):
        iou_per_class(np.eye(3, dtype=int), "strict")  # type: ignore[arg-type]

"""The metrics at full size: all real VOC val masks against disturbed copies, beside mmsegmentation's own evaluator."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from benchmarks.data.mask_file import read_mask  # noqa: E402
from benchmarks.labels import apply, evaluation_table  # noqa: E402
from benchmarks.scoring.confusion import count  # noqa: E402
from benchmarks.scoring.metrics import iou_per_class, mean, pixel_accuracy  # noqa: E402
from splits.loader import load_split, read_list  # noqa: E402

MASKS = Path(__file__).resolve().parents[4] / "shared/data/voc-val-masks/SegmentationClass"
SPLIT = load_split("pascal-5i")
CLASSES = 21  # with background, whose 179 million pixels are more than float32 counts
pytestmark = pytest.mark.skipif(not MASKS.is_dir(), reason="the real val masks are not beside the checkout")


def disturbed(truth: np.ndarray, seed: int) -> np.ndarray:
    """The truth moved by a few pixels, with a patch of another class: errors of the kind that models make."""
    rng = np.random.default_rng(seed)
    moved = np.roll(truth, tuple(rng.integers(-9, 10, size=2)), axis=(0, 1))
    top, left = rng.integers(0, np.array(truth.shape) // 2)
    moved[top : top + 60, left : left + 60] = rng.integers(0, CLASSES)
    return np.where(moved == 255, rng.integers(0, CLASSES), moved).astype(np.uint8)


@pytest.fixture(scope="module")
def counted() -> tuple[np.ndarray, list[tuple], list[np.ndarray]]:
    """Our matrix over all masks, mmsegmentation's areas of each image, and our matrix of each image."""
    with contextlib.redirect_stdout(io.StringIO()):
        metric = pytest.importorskip("mmseg.evaluation").IoUMetric
    table = evaluation_table(SPLIT, background="class")
    matrices, areas = [], []
    for seed, id_ in enumerate(read_list("voc2012_seg_val_1449")):
        truth = torch.from_numpy(apply(table, read_mask(MASKS / f"{id_}.png", SPLIT.legal_ids)))
        prediction = torch.from_numpy(disturbed(truth.numpy(), seed))
        matrices.append(count(truth, prediction, CLASSES).numpy())
        areas.append(metric.intersect_and_union(prediction, truth, CLASSES, 255))
    return np.sum(matrices, axis=0), areas, matrices


def test_every_count_is_exact(counted) -> None:
    """Fails when one pixel of 270 million is counted for another class, or lost."""
    matrix, areas, _ = counted
    intersect, union, predicted, labelled = (
        torch.stack([image[kind] for image in areas]).double().sum(dim=0).numpy() for kind in range(4)
    )
    np.testing.assert_array_equal(np.diag(matrix), intersect)
    np.testing.assert_array_equal(matrix.sum(axis=0), predicted)
    np.testing.assert_array_equal(matrix.sum(axis=1), labelled)
    np.testing.assert_array_equal(matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix), union)
    assert matrix[20].sum() == 179546198  # background, as counted from the files alone


def test_scores_are_those_of_mmsegmentation(counted) -> None:
    """Fails when mIoU, an IoU or pAcc is another; up to the last digits, since the peer adds in float32."""
    from mmseg.evaluation import IoUMetric

    matrix, areas, _ = counted
    totals = [sum(image[kind] for image in areas) for kind in range(4)]
    theirs = IoUMetric.total_area_to_metrics(*totals, metrics=["mIoU"])
    np.testing.assert_allclose(iou_per_class(matrix), theirs["IoU"], rtol=1e-5)
    assert mean(iou_per_class(matrix)) == pytest.approx(float(np.nanmean(theirs["IoU"])), rel=1e-5)
    assert pixel_accuracy(matrix) == pytest.approx(float(theirs["aAcc"]), rel=1e-5)
    # why exact integers: float32 has lost pixels of background on the way
    assert float(totals[3][20]) != matrix[20].sum()


@pytest.mark.parametrize("images", [1, 3, 10])
def test_absent_classes_as_in_mmsegmentation(counted, images: int) -> None:
    """Fails when a class that is absent from a few images, or only predicted, is averaged in another way."""
    from mmseg.evaluation import IoUMetric

    _, areas, matrices = counted
    seen_absent = seen_only_predicted = False
    for start in range(0, len(areas) - images, 97):
        chosen = slice(start, start + images)
        matrix = np.sum(matrices[chosen], axis=0)
        totals = [sum(image[kind].double() for image in areas[chosen]) for kind in range(4)]
        theirs = IoUMetric.total_area_to_metrics(*totals, metrics=["mIoU"])["IoU"]
        ours = iou_per_class(matrix, "skip")
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        assert mean(ours) == pytest.approx(float(np.nanmean(theirs)), rel=1e-12)
        # its other rule, nan_to_num, fills what we leave out
        filled = IoUMetric.total_area_to_metrics(*totals, metrics=["mIoU"], nan_to_num=0)["IoU"]
        np.testing.assert_allclose(np.nan_to_num(ours), filled, rtol=1e-12)
        only_predicted = (matrix.sum(axis=1) == 0) & (matrix.sum(axis=0) > 0)
        assert (ours[only_predicted] == 0).all()
        assert np.isnan(iou_per_class(matrix, "skip-absent-in-truth")[only_predicted]).all()
        seen_absent |= bool(np.isnan(ours).any())
        seen_only_predicted |= bool(only_predicted.any())
    assert seen_absent
    assert seen_only_predicted

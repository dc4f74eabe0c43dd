"""Curves over training, drawn from records."""

from pathlib import Path

import numpy as np
import pytest

from results.report.curves import Readings, Sweep, mean_losses, read
from results.store.confusion import ARRAYS, counted
from results.store.record import LossPoint
from tests.results.factory import record, store


def test_what_is_only_watched_is_no_loss() -> None:
    """Fails if a figure that a method logs beside its losses (a share, a similarity) is added to them."""
    points = (
        LossPoint(step=3, losses={"distillation": 2.0, "dice": 0.5, "watched picked_share": 0.9}),
        LossPoint(step=6, losses={"distillation": 1.0, "dice": 0.25, "watched picked_share": 0.8}),
    )
    made = record()
    made = made.model_copy(update={"result": made.result.model_copy(update={"losses": points})})
    assert mean_losses([made]) == ([3, 6], [2.5, 1.25])


def test_background_as_a_class_is_one_of_the_seen(tmp_path: Path) -> None:
    """Fails if the report cannot read a run scored with background as a class, or counts it among the unseen."""
    path, made = store(tmp_path, fold=1, background="class")
    reading = read(made, path.with_name("confusion.npz"))
    with np.load(path.with_name("confusion.npz")) as npz:
        matrix = npz["matrices"][1]
    iou = np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))
    assert reading.sweep.unseen[1] == pytest.approx(iou[1])
    assert reading.sweep.seen[1] == pytest.approx(iou[[0, 2, 3, 4]].mean())
    wrong = matrix - np.diag(np.diag(matrix))
    assert reading.errors[0] == pytest.approx((wrong[:, 1].sum()) / matrix.sum())  # seen taken for unseen


def test_what_is_read_in_passing_is_what_lies_in_the_file(tmp_path: Path) -> None:
    """Fails if curves taken while records are checked are others, or those of a fold that was counted alike."""
    path, made = store(tmp_path, fold=0)
    file, known = path.with_name("confusion.npz"), Readings()
    known.keep(made, known.take(made, counted(file, ARRAYS)))
    _, other = store(tmp_path / "b", fold=1)
    alike = other.model_copy(
        update={"result": other.result.model_copy(update={"confusion_sha256": made.result.confusion_sha256})}
    )
    for scored, where in ((made, tmp_path / "nowhere"), (alike, file)):
        one, two = read(scored, file), known.of(scored, where)
        np.testing.assert_array_equal(one.errors, two.errors)
        for name in ("shifts", "seen", "unseen", "hiou"):
            np.testing.assert_array_equal(getattr(one.sweep, name), getattr(two.sweep, name))


def test_a_curve_that_folds_back_has_the_area_below_its_outline() -> None:
    """Fails if points of the branch that falls in both mIoUs count, or the area reaches beyond the curve."""
    shifts = np.array([-np.inf, -2.0, -1.0, 0.0, 1.0, np.inf])
    seen = np.array([0.5, 0.6, 0.8, 0.7, 0.4, 0.0])
    unseen = np.array([0.0, 0.1, 0.2, 0.4, 0.6, 0.5])
    # from S of 0.8 to 0.7 U rises from 0.2 to 0.4, to 0.4 it rises to 0.6, to 0 it falls to 0.5
    by_hand = 0.1 * (0.2 + 0.4) / 2 + 0.3 * (0.4 + 0.6) / 2 + 0.4 * (0.6 + 0.5) / 2
    assert Sweep(shifts, seen, unseen, unseen).area == pytest.approx(by_hand)
    assert Sweep(shifts[::-1], seen[::-1], unseen[::-1], unseen).area == pytest.approx(by_hand)
    upper = [0, 2, 3, 4, 5]  # without a point of the lower branch
    assert Sweep(shifts[upper], seen[upper], unseen[upper], unseen[upper]).area == pytest.approx(by_hand)

"""Counts of single images: against the scores of their confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scoring.metrics import summary
from results.tables.statistics import METRICS, counts_of, ious, means

SEEN = [True, True, True, False, False]


def rows(rng: np.random.Generator, images: int = 6, classes: int = 5) -> np.ndarray:
    """`(n, 4)` image, truth, prediction, pixels."""
    dense = rng.integers(0, 9, (images, classes, classes)) * (rng.random((images, classes, classes)) < 0.5)
    return np.concatenate([np.argwhere(dense), dense[dense > 0][:, None]], axis=1)


def test_counts_are_those_of_the_confusion_matrix():
    """Fails if summing images does not give the scores that the record has, under either rule for absent classes."""
    rng = np.random.default_rng(0)
    for rule in ("skip", "skip-absent-in-truth"):
        table = rows(rng)
        table = table[table[:, 1] != 2]  # class 2 is only predicted
        matrix = np.zeros((5, 5), dtype=np.int64)
        np.add.at(matrix, (table[:, 1], table[:, 2]), table[:, 3])
        counts = counts_of(table, 6, SEEN, rule)
        iou = ious(counts, np.ones((1, 6)))
        expected = summary(matrix, SEEN, rule)
        np.testing.assert_allclose(iou[0], expected.iou, rtol=1e-12)
        for metric in METRICS:
            assert means(iou, counts.seen)[metric][0] == pytest.approx(getattr(expected, metric), rel=1e-12)


def test_drawing_an_image_twice_counts_it_twice():
    """Fails if the weights of a draw do not reach every count."""
    table = rows(np.random.default_rng(1), images=3)
    counts = counts_of(table, 3, SEEN)
    doubled = np.concatenate([table, table[table[:, 0] == 1]])
    np.testing.assert_array_equal(
        ious(counts, np.array([[1.0, 2.0, 1.0]])), ious(counts_of(doubled, 3, SEEN), np.ones((1, 3)))
    )

"""Paired differences: against scipy, against other code of ours, and by their coverage on simulated data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.scoring.metrics import summary
from results.tables.statistics import METRICS, Counts, compare, counts_of, holm, ious, means, shared

SEEN = [True, True, True, False, False]


def rows(rng: np.random.Generator, images: int = 6, classes: int = 5) -> np.ndarray:
    """`(n, 4)` image, truth, prediction, pixels."""
    dense = rng.integers(0, 9, (images, classes, classes)) * (rng.random((images, classes, classes)) < 0.5)
    return np.concatenate([np.argwhere(dense), dense[dense > 0][:, None]], axis=1)


def simulated(
    rng: np.random.Generator, *, better: float = 0.0, images: int = 80, seeds: int = 3
) -> tuple[dict[tuple[int, int], Counts], dict[tuple[int, int], Counts]]:
    """Two methods on the same images; A hits `better` more. Images, seeds and their crossing vary both."""
    easy = rng.normal(0, 0.10, (images, 1))  # shared by both methods and all seeds
    own = [rng.normal(0, 0.05, (images, 1)) for _ in range(2)]  # of a method on an image
    runs: list[dict[tuple[int, int], Counts]] = [{}, {}]
    for seed in range(seeds):
        for which in range(2):
            hits = 0.5 + (better if which == 0 else 0.0) + easy + own[which] + rng.normal(0, 0.02)
            share = np.clip(hits + rng.normal(0, 0.03, (images, len(SEEN))), 0.02, 0.98)
            pixels = np.full(share.shape, 100.0)
            runs[which][0, seed] = Counts(100 * share, pixels, pixels, np.array(SEEN))
    return runs[0], runs[1]


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


def test_the_image_part_is_scipys_paired_bootstrap():
    """Fails if, with one seed, the spread differs from that of `scipy.stats.bootstrap` on the same statistic."""
    a, b = simulated(np.random.default_rng(2), better=0.03, seeds=1)
    found = compare(a, b, replicates=4000)["miou_unseen"]
    first, second = a[0, 0], b[0, 0]

    def statistic(images: np.ndarray, axis: int = -1) -> np.ndarray:
        chosen = images.astype(int)
        both = []
        for counts in (first, second):
            hit, truth, said = (part[chosen].sum(axis=-2) for part in (counts.hit, counts.truth, counts.predicted))
            both.append((hit / (truth + said - hit))[..., 3:].mean(axis=-1))
        return both[0] - both[1]

    theirs = stats.bootstrap(
        (np.arange(80),), statistic, n_resamples=4000, method="basic", random_state=np.random.default_rng(0)
    )
    assert found.detectable == pytest.approx(1.96 * theirs.standard_error, rel=0.05)
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * found.detectable)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.1 * found.detectable)


def test_the_seed_part_is_scipys_paired_t_test():
    """Fails if, where images do not vary, interval and p differ from `scipy.stats.ttest_rel` over the seeds."""
    hits = {"a": [60, 64, 59, 66], "b": [55, 60, 58, 57]}
    runs = {
        name: {
            (0, seed): Counts(*(np.full((30, 5), float(v)) for v in (value, 100, 100)), seen=np.array(SEEN))  # type: ignore[misc]
            for seed, value in enumerate(values)
        }
        for name, values in hits.items()
    }
    found = compare(runs["a"], runs["b"])["hiou"]
    scores = {name: [v / (200 - v) for v in values] for name, values in hits.items()}
    theirs = stats.ttest_rel(scores["a"], scores["b"])
    interval = theirs.confidence_interval(0.95)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_coverage(seeds):
    """Fails if the 95 % interval holds the true difference in clearly fewer than 95 % of simulated studies.

    300 studies: of an exact interval fewer than 275 hits come once in a few hundred such tests.
    """
    rng = np.random.default_rng(100 + seeds)
    truth = 0.0  # methods of one distribution
    hits = 0
    for _ in range(300):
        found = compare(*simulated(rng, seeds=seeds), replicates=250)["hiou"]
        hits += found.low <= truth <= found.high
    assert hits >= 275


def test_a_real_difference_is_found():
    """Fails if the interval is so wide that a difference of ten standard errors is called a tie."""
    rng = np.random.default_rng(5)
    found = compare(*simulated(rng, better=0.15, images=200, seeds=4))["hiou"]
    assert found.low > 0
    assert found.p < 0.01
    assert found.difference > found.detectable


def test_the_same_method_twice_is_a_tie():
    """Fails if a method beats itself, or if no difference has another p than 1."""
    a, _ = simulated(np.random.default_rng(6))
    for found in compare(a, a).values():
        assert (found.difference, found.detectable, found.p) == (0.0, 0.0, 1.0)


def test_exchanging_the_methods_changes_the_sign_alone():
    """Fails if the pairing favours the method that is named first."""
    a, b = simulated(np.random.default_rng(7))
    one, other = compare(a, b), compare(b, a)
    for what in one:
        assert one[what].difference == pytest.approx(-other[what].difference)
        assert one[what].detectable == pytest.approx(other[what].detectable)


def test_only_shared_runs_count():
    """Fails if a seed that one of them lacks, or that lacks a fold, enters the difference."""
    a, b = simulated(np.random.default_rng(8), seeds=3)
    extra = a | {(0, 9): a[0, 0], (1, 0): a[0, 1]}
    assert shared(extra, b) == ((0,), (0, 1, 2))
    assert compare(extra, b)["hiou"] == compare(a, b)["hiou"]


def test_other_images_are_no_pair():
    """Fails if runs that scored different images are compared image by image."""
    a, b = simulated(np.random.default_rng(9))
    c, _ = simulated(np.random.default_rng(9), images=70)
    with pytest.raises(ValueError, match="80 and 70 images"):
        compare(a, c)
    with pytest.raises(ValueError, match="no seed"):
        compare(a, {(0, 7): b[0, 0]})


def test_an_undefined_metric_is_undefined():
    """Fails if a difference of nothing comes out as a number, or stops the others."""
    a, b = simulated(np.random.default_rng(10))
    empty = {
        key: Counts(
            counts.hit * counts.seen, counts.truth * counts.seen, counts.predicted * counts.seen, seen=counts.seen
        )
        for key, counts in a.items()
    }
    found = compare(empty, b)
    assert math.isnan(found["hiou"].p)
    assert not math.isnan(found["miou_seen"].p)


def test_holm():
    """Fails if the correction is not Holm's: example by hand, and never below what it was."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert math.isnan(holm([math.nan, 0.04])[0])
    assert holm([math.nan, 0.04])[1] == 0.04

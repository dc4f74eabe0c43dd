"""Draws of images: against scipy's bootstrap and against drawing the hard way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from results.tables.bootstrap import chunks, class_draws, mean_draws, scores, spread, streamed_draws
from results.tables.statistics import METRICS, Counts, ious, means
from tests.results.tables.studies import SEEN, study


def test_every_draw_has_as_many_images_and_is_the_same_again():
    """Fails if a draw leaves images out or adds some, or differs from call to call or with the chunks' size."""
    drawn = np.concatenate([weights for _, weights in chunks("list", 60, 2500)], axis=1)
    assert drawn.shape == (60, 2500)
    assert (drawn.sum(axis=0) == 60).all()
    assert np.array_equal(drawn, np.concatenate([w for _, w in chunks("list", 60, 2500)], axis=1))
    assert not np.array_equal(drawn[:, :1000], next(iter(chunks("other", 60, 1000)))[1])  # another list: other draws


def test_each_draw_has_the_scores_of_its_images():
    """Fails if a draw's score is not that of the images it has, each as often; sums in float64 the hard way."""
    runs = list(study(np.random.default_rng(1), seeds=2)[0].values())
    found = mean_draws(runs, [{0: 1.0}, {0: 0.5, 1: 0.5}], draws=40)
    weights = next(iter(chunks(runs[0].images, len(runs[0].hit), 40)))[1].T.astype(float)
    expected = [means(ious(run, weights), run.seen) for run in runs]
    for i, metric in enumerate(METRICS):
        np.testing.assert_allclose(found[0][i], expected[0][metric], rtol=1e-5)
        np.testing.assert_allclose(found[1][i], (expected[0][metric] + expected[1][metric]) / 2, rtol=1e-5)
    np.testing.assert_allclose(class_draws(runs[0], 40), ious(runs[0], weights).T, rtol=1e-5)


def test_equal_counts_are_drawn_once_and_weigh_as_often_as_they_come():
    """Fails if seeds with equal counts are lost from a mean."""
    a, b = list(study(np.random.default_rng(2), seeds=2)[0].values())
    named = [Counts(r.hit, r.truth, r.predicted, r.seen, name=n) for r, n in ((a, "a"), (a, "a"), (b, "b"))]
    weights = {i: 1 / 3 for i in range(3)}
    np.testing.assert_allclose(mean_draws(named, [weights], 50)[0], mean_draws([a, a, b], [weights], 50)[0], rtol=1e-5)


def test_equal_counts_with_other_seen_classes_are_two_runs():
    """Fails if folds whose predictions are alike (imported ones, say) are averaged over one fold's seen classes."""
    a = next(iter(study(np.random.default_rng(2), seeds=1)[0].values()))
    folds = [Counts(a.hit, a.truth, a.predicted, seen, name="same") for seen in (a.seen, ~a.seen)]
    found = mean_draws(folds, [{0: 1.0}, {1: 1.0}], 50)
    np.testing.assert_array_equal(found[0][0], found[1][1])  # S of one is U of the other
    np.testing.assert_array_equal(found[0][1], found[1][0])


def test_runs_are_read_one_block_after_the_other(monkeypatch):
    """Fails if a mean over more runs than fit into memory at once differs, or a run is read twice."""
    runs = list(study(np.random.default_rng(5), seeds=7)[0].values())
    wanted = [{i: 1 / 7 for i in range(7)}, {2: 1.0}]
    expected = mean_draws(runs, wanted, 1500)
    monkeypatch.setattr("results.tables.bootstrap.BLOCK", 1)
    monkeypatch.setattr("results.tables.bootstrap.KEPT", 1)  # draws are made anew for each block
    asked = []

    def read(place: int) -> Counts:
        asked.append(place)
        return runs[place]

    found = streamed_draws([run.head for run in runs], read, wanted, 1500)
    assert asked == list(range(7))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rule", ["skip", "skip-absent-in-truth"])
def test_classes_that_a_draw_lacks_are_left_out(rule):
    """Fails if a class without pixels in a draw counts as 0 or as anything, under either rule."""
    hit = np.zeros((4, 5))
    hit[0] = 3  # all that is right is on the first image
    truth, said = hit.copy(), hit.copy()
    said[:, 1] += 1  # class 1 is predicted everywhere
    run = Counts(hit, truth, said, np.array(SEEN), rule=rule)
    weights = next(iter(chunks("", 4, 200)))[1].T.astype(float)
    expected = means(ious(run, weights), run.seen)
    found = mean_draws([run], [{0: 1.0}], 200)[0]
    assert np.isnan(found[1]).any()
    for i, metric in enumerate(METRICS):
        np.testing.assert_allclose(found[i], expected[metric], rtol=1e-5)


@pytest.mark.parametrize("method", ["percentile", "basic"])
def test_the_spread_is_scipys_bootstrap(method):
    """Fails if standard error or percentiles over images differ from `scipy.stats.bootstrap`, up to both's chance."""
    a, b = study(np.random.default_rng(3), better=0.03, seeds=1)
    first, second = a[0, 0], b[0, 0]

    def statistic(images: np.ndarray, axis: int = -1) -> np.ndarray:
        both = []
        for counts in (first, second):
            parts = (part[images.astype(int)].sum(axis=-2) for part in (counts.hit, counts.truth, counts.predicted))
            hit, truth, said = parts
            both.append((hit / (truth + said - hit))[..., 3:].mean(axis=-1))
        return both[0] - both[1]

    theirs = stats.bootstrap(
        (np.arange(80),), statistic, n_resamples=20_000, batch=500, method=method, rng=np.random.default_rng(0)
    )
    one, other = mean_draws([first, second], [{0: 1.0}, {1: 1.0}], 20_000)
    draws = one[1] - other[1]
    error, simulated = spread(draws, 80)
    assert error == pytest.approx(theirs.standard_error, rel=0.03)
    assert abs(error - theirs.standard_error) < 6 * simulated
    low, high = np.quantile(draws, [0.025, 0.975])
    point = scores(first)["miou_unseen"] - scores(second)["miou_unseen"]
    ends = (low, high) if method == "percentile" else (2 * point - high, 2 * point - low)
    assert ends == pytest.approx(tuple(theirs.confidence_interval), abs=0.06 * error)


def test_the_monte_carlo_error_is_that_of_repeated_draws():
    """Fails if the error stated for a finite number of draws is not how much the standard error really varies."""
    rng = np.random.default_rng(4)
    errors = [spread(rng.standard_gamma(4, 500), 2) for _ in range(400)]
    assert np.std([error for error, _ in errors]) == pytest.approx(np.mean([told for _, told in errors]), rel=0.15)

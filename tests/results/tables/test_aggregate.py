"""Means over folds and seeds, against slow plain Python and scipy."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.spec import clip_words
from results.store.identity import settle
from results.tables.aggregate import METRICS, aggregate, estimate, mean_over, tidy
from splits.errors import UserError
from tests.results import factory
from tests.results.factory import record

FOLDS = (0, 1, 2)
fractions = st.floats(0, 1, allow_subnormal=False)
values = st.dictionaries(
    st.tuples(st.sampled_from(FOLDS), st.integers(0, 3)), st.tuples(fractions, fractions), min_size=1, max_size=12
)


def slow_mean(numbers):
    return float(sum(Fraction(n) for n in numbers) / len(numbers))


def slow_harmonic(s, u):
    return 2 * s * u / (s + u) if s + u else 0.0


def slow(cells):
    """Fold means of each seed that has every fold, then mean and sd, written out; the order is that of METRICS."""
    per_seed = []
    for seed in sorted({seed for _, seed in cells}):
        if any((fold, seed) not in cells for fold in FOLDS):
            continue
        pairs = [cells[fold, seed] for fold in FOLDS]
        lower, higher = ([(s, max(u + step, 0.0)) for s, u in pairs] for step in (-0.1, 0.1))
        means = [slow_mean([s for s, _ in pairs])] * 2 + [slow_mean([u for _, u in pairs])]
        means += [slow_mean([slow_harmonic(*pair) for pair in chosen]) for chosen in (pairs, lower, higher)]
        per_seed.append([*means, slow_harmonic(means[1], means[2])])
    out = []
    for numbers in zip(*per_seed, strict=True):
        mean, n = slow_mean(numbers), len(numbers)
        variance = (
            sum((Fraction(x) - sum(map(Fraction, numbers)) / n) ** 2 for x in numbers) / (n - 1) if n > 1 else None
        )
        out.append((mean, None if variance is None else math.sqrt(variance)))
    return len(per_seed), out


@settings(max_examples=40, deadline=None)
@given(values, st.randoms(use_true_random=False))
def test_like_slow_python(cells, chance):
    """Fails if seeds without every fold are averaged, folds are pooled over seeds, ddof is 0, or order matters."""
    made = [record(seen=s, unseen=u, fold=fold, seed=seed) for (fold, seed), (s, u) in cells.items()]
    chance.shuffle(made)
    means = mean_over(tidy(made), FOLDS)
    n, expected = slow(cells)
    assert len(means.complete) == n
    assert set(means.complete) | set(means.incomplete) == {seed for _, seed in cells}
    for seed, folds in means.incomplete.items():
        assert folds == tuple(sorted(fold for fold, s in cells if s == seed))
        assert len(folds) < len(FOLDS)
    compared = [metric for metric in METRICS if metric != "miou"]  # made records have one IoU for all classes
    assert not n or means.estimates["miou"].mean == 0.5
    for metric, (mean, sd) in zip(compared, expected, strict=bool(n)):
        assert means.estimates[metric].mean == pytest.approx(mean, rel=1e-12, abs=1e-15), metric
        if sd is None:
            assert math.isnan(means.estimates[metric].sd)
        else:
            assert means.estimates[metric].sd == pytest.approx(sd, rel=1e-9, abs=1e-15), metric
    if not n:
        assert all(math.isnan(e.mean) for e in means.estimates.values())


@settings(max_examples=200, deadline=None)
@given(st.lists(fractions, min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_order_does_not_change_a_bit(numbers, chance):
    """Fails if sums are taken in the order given: the last bits, and so the CSV, would depend on it."""
    other = numbers.copy()
    chance.shuffle(other)
    assert repr(estimate(numbers)) == repr(estimate(other))


def test_few_seeds():
    """Fails if one seed has an sd, none has a mean, or an undefined value is passed over."""
    assert repr(estimate([])) == repr(estimate([0.5, math.nan]))
    assert math.isnan(estimate([]).mean)
    assert estimate([0.5]).mean == 0.5
    assert math.isnan(estimate([0.5]).sd)
    assert estimate([0.25, 0.75]).sd == pytest.approx(math.sqrt(0.125))


def test_mean_of_hiou_is_not_hiou_of_means():
    """Fails if the two ways of the literature are exchanged. By hand: H(.5,.5)=.5, H(.5,0)=0; H(.5,.25)=1/3."""
    means = mean_over(tidy([record(seen=0.5, unseen=0.5, fold=0), record(seen=0.5, unseen=0.0, fold=1)]), (0, 1))
    assert means.estimates["hiou"].mean == pytest.approx(0.25)
    assert means.estimates["hiou_of_means"].mean == pytest.approx(1 / 3)


def test_an_undefined_fold_makes_the_mean_undefined():
    """Fails if a fold without a value is left out: the mean would go over fewer folds than it says."""
    means = mean_over(tidy([record(unseen=None, fold=0), record(fold=1)]), (0, 1))
    assert math.isnan(means.estimates["hiou"].mean)
    assert means.estimates["miou_seen"].mean == 0.5


def test_refuses_to_mix_families():
    """Fails if numbers of two protocols can enter one mean."""
    for other in (record(fold=1, background="class"), record(fold=1, family="f" * 64)):
        with pytest.raises(UserError, match="a mean needs one protocol, these runs have 2"):
            mean_over(tidy([record(fold=0), other]), (0, 1))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "zeta"}, "method, label"),
        ({"config": {"k": 2}}, "config"),
        ({"clip": factory.TINY.model_copy(update={"sha256": "c2" * 32})}, "clip, clip_sha256"),
        ({"recipe": factory.PAPER.model_copy(update={"lr": 0.5})}, "recipe"),
        ({"limit": 3}, "train_limit, eval_limit"),
        ({"partial": True}, "partial"),
        ({"part": "tune"}, "part"),
    ],
)
def test_refuses_to_mix_variants(changes, named):
    """Fails if runs that differ in more than fold and seed can enter one mean."""
    with pytest.raises(UserError, match=f"these differ in {named}$"):
        mean_over(tidy([record(fold=0), record(fold=1, **changes)]), (0, 1))


def test_refuses_strange_and_repeated_folds():
    """Fails if a fold can count twice in a seed's mean, or one that the benchmark does not have."""
    with pytest.raises(UserError, match="several runs of fold 0 seed 0"):
        mean_over(tidy([record(), record(seen=0.7), record(fold=1)]), (0, 1))
    with pytest.raises(UserError, match="runs of fold 3, but the folds are 0, 1"):
        mean_over(tidy([record(fold=3)]), (0, 1))


def test_copies_count_once_and_conflicts_not_at_all():
    """Fails if a record merged twice counts twice, or one of two differing records is silently chosen."""
    again, other = record(device="cuda"), record(fold=1, unseen=0.3)
    kept, conflicts = settle([record(fold=1), record(), again, other])
    assert [r.result.train.fold for r in kept] == [0]
    (conflict,) = conflicts
    assert conflict.words() == (
        f"{other.result.train.folder}: 2 records with different results, all left out: "
        "hIoU 0.333333 (cpu-host, cpu, 2026-01-01T00:00:00Z); hIoU 0.375000 (cpu-host, cpu, 2026-01-01T00:00:00Z)"
    )


def test_another_file_of_the_same_counts_is_no_conflict():
    """Fails if weights scored again, with one array more beside the record, conflict with their first scoring."""
    kept, conflicts = settle([record(), record(confusion_sha256="1" * 64)])
    assert (len(kept), conflicts) == (1, [])


def test_two_runs_of_one_fold_and_seed_are_a_conflict():
    """Fails if runs that only their folders tell apart (other imported weights) are averaged, or one is chosen."""
    made = [record(weights=letter * 64) for letter in "ab"]
    kept, (conflict,) = settle(made)
    assert kept == []
    assert all(r.result.train.folder in conflict.words() for r in made)


def test_settling_does_not_depend_on_order():
    """Fails if which copy stays, or how a conflict reads, depends on the order of files."""
    made = [record(device=d, unseen=u, fold=f) for d in "ab" for u, f in ((0.1, 0), (0.2, 1), (0.3, 1))]
    kept, conflicts = settle(made)
    for seed in range(5):
        shuffled = random.Random(seed).sample(made, len(made))
        again, others = settle(shuffled)
        assert again == kept
        assert [c.words() for c in others] == [c.words() for c in conflicts]


def test_tidy_has_a_row_per_record_and_fractions():
    """Fails if a field is lost or rounded, or None does not become NaN."""
    frame = tidy([record(seed=1, seen=1 / 3, unseen=None), record(shift=0.1)], stale=frozenset({"x"}))
    assert len(frame) == 2
    assert frame["seed"].tolist() == [0, 1]
    assert frame["miou_seen"].tolist() == [0.5, 1 / 3]
    assert math.isnan(frame["hiou"][1])
    assert frame["own_shift"].tolist() == [0.1, 0.0]
    assert frame["family_hash"].nunique() == 1
    assert not frame["stale"].any()
    assert len(tidy([])) == 0


def test_folds_share_a_family_but_no_protocol():
    """Fails if the family tells folds apart (no mean would be possible) or the protocol's hash does not."""
    frame = tidy([record(fold=0), record(fold=1)])
    assert frame["family_hash"].nunique() == 1
    assert frame["protocol_hash"].nunique() == 2


def test_by_fold_counts_each_seed_for_the_folds_it_has():
    """Fails if an incomplete seed is lost from the folds that it has."""
    frame = aggregate(tidy([record(), record(seed=1), record(seed=1, fold=1)]), lambda _: (0, 1), by="fold")
    assert frame[["fold", "seeds", "seed_list"]].values.tolist() == [[0, 2, "0 1"], [1, 1, "1"]]


def test_names_of_clips():
    """Fails if two files of one architecture read the same."""
    assert clip_words(None) == "none"
    assert clip_words(factory.TINY) == "tiny/file@c1c1c1c1"
    assert clip_words(factory.TINY.model_copy(update={"sha256": ""})) == "tiny/file"

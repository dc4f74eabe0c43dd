"""Families of verdicts: what is tested, what is not, and that nobody's question changes an answer."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from results.tables.over_classes import over_classes
from results.tables.statistics import METRICS, Counts, ious
from results.tables.verdicts import APART, HIGHER, LOWER, ONE_SEED, PARTIAL, UNDEFINED, Row, complete, judged
from tests.coverage import differences
from tests.results.tables.studies import SEEN, study

FEW = 400  # draws: enough for words


def rows(seeds: int = 3, better: tuple[float, ...] = (0.0, 0.0, 0.2), folds: int = 1) -> list[Row]:
    """A row for each; all share images and nothing else."""
    found = []
    for i, gain in enumerate(better):
        a, _ = study(np.random.default_rng(50 + i), better=gain, seeds=seeds, folds=folds)
        found.append(Row("abcdef"[i], a))
    return found


def test_coverage_of_one_pair():
    """Fails if the 95 % interval holds the true difference in clearly fewer than 95 % of simulated studies.

    200 studies at 2, 3 and 5 seeds: of an exact interval fewer than 181 hits come once in several hundred such tests.
    """
    for seeds in (2, 3, 5):
        rng, hits = np.random.default_rng(100 + seeds), 0
        for _ in range(200):
            a, b = study(rng, seeds=seeds)
            by = judged([Row("a", a), Row("b", b)], [0], draws=200).verdict("a", "b", "hiou").found.by
            hits += abs(by.value) <= by.half()
        assert hits >= 181, seeds


def test_a_true_difference_is_held_found_and_never_taken_for_none():
    """Fails if intervals miss a true difference, a test finds much less than `detectable` says, or the two one-sided
    tests call a difference at their bound equivalent in clearly more than 5 % of 120 studies."""
    world = differences.BETTER["3 seeds, seeds vary little"]
    true = differences.true_difference(world, seeds=20)
    of = differences.found(world, true, studies=120)
    assert of.detectable == pytest.approx(true, rel=0.15)
    assert of.held >= 0.89
    assert 0.65 <= of.higher <= 0.95
    assert of.lower == 0
    assert of.equivalent <= 0.11
    assert of.ranks <= 0.11


def test_real_differences_are_found_and_their_direction_told():
    """Fails if a difference of many standard errors is not established, or in the wrong direction."""
    family = judged(rows(seeds=5, better=(0.0, 0.25)), [0], draws=FEW)
    assert family.verdict("a", "b", "hiou").words == LOWER
    assert family.verdict("b", "a", "hiou").words == HIGHER
    assert family.ranks("b", "hiou") == (1, 1)
    assert family.ranks("a", "hiou") == (2, 2)
    assert family.first["hiou"]["b"] > 0.99


def test_the_family_is_all_pairs_of_the_rows():
    """Fails if p is corrected for other than all pairs, so that leaving a row out of a question changes a verdict."""
    family = judged(rows(), [0], draws=FEW)
    by = {pair: family.verdict(*pair, "hiou") for pair in combinations("abc", 2)}
    ps = sorted(v.found.by.p for v in by.values())
    assert {v.family for v in by.values()} == {3}
    assert min(v.p for v in by.values()) == pytest.approx(min(1.0, 3 * ps[0]))
    assert family.verdict("a", "c", "hiou").p == family.verdict("c", "a", "hiou").p


def test_one_seed_is_not_tested():
    """Fails if one seed gets a verdict, a p, a rank or counts in the family; its interval over images stays."""
    found = rows()
    family = judged([*found, Row("d", {(0, 0): found[2].runs[0, 0]})], [0], draws=FEW)
    alone = family.verdict("a", "d", "hiou")
    assert alone.words == ONE_SEED
    assert math.isnan(alone.p)
    assert alone.found.by.half() > 0
    assert alone.family == 3
    assert family.ranks("d", "hiou") == (1, 4)
    assert "d" not in family.first["hiou"]
    assert "d" not in family.not_separated("hiou")


def test_partial_rows_compete_for_nothing():
    """Fails if a row of part of the data is tested, marked as best, or widens the family."""
    found = rows()
    family = judged([*found, Row("d", found[2].runs, partial=True)], [0], draws=FEW)
    assert family.verdict("a", "d", "hiou").words == PARTIAL
    assert family.verdict("a", "b", "hiou").family == 3
    assert "d" not in family.not_separated("hiou")
    assert family.first == judged(found, [0], draws=FEW).first


def test_a_row_that_lacks_a_fold_has_no_place():
    """Fails if a verdict on one of two folds takes away a place among means over both."""
    low, high = rows(folds=2, better=(0.0, 0.3))
    part = Row("part", {place: run for place, run in high.runs.items() if place[0] == 0})
    family = judged([low, part], [0, 1], draws=FEW)
    assert family.verdict("a", "part", "hiou").words == LOWER  # where both were scored
    assert (family.competing("hiou"), family.ranks("a", "hiou")) == (["a"], (1, 1))


def test_rows_that_score_alike_share_the_first_place():
    """Fails if of two rows that are equal in every draw the one that is listed first is called the better one."""
    (row,) = rows(better=(0.0,))
    still = {place: row.runs[0, 0] for place in row.runs}  # nothing is trained: seeds do not differ
    assert judged([Row("b", still), Row("c", still)], [0], draws=FEW).first["hiou"] == {"b": 0.5, "c": 0.5}


def test_rows_not_separated_from_the_best_share_its_mark():
    """Fails if the mark goes to one row where chance could have chosen it, or to a row that is established below."""
    assert judged(rows(seeds=6), [0], draws=FEW).not_separated("hiou") == {"c"}
    assert judged(rows(seeds=6, better=(0.0, 0.001)), [0], draws=FEW).not_separated("hiou") == {"a", "b"}


def test_a_row_of_fewer_seeds_does_not_lead():
    """Fails if a row with fewer seeds is marked over one with more."""
    few, many = Row("few", rows(seeds=2, better=(0.3,))[0].runs), Row("many", rows(seeds=5, better=(0.0,))[0].runs)
    assert judged([few, many], [0], draws=FEW).not_separated("hiou") == frozenset()  # nothing to choose from
    more = Row("more", rows(seeds=5, better=(0.0, 0.2))[1].runs)
    assert judged([few, many, more], [0], draws=FEW).not_separated("hiou") <= {"many", "more"}


def test_no_row_is_marked_that_is_established_below_another():
    """Fails if the best of the rows with most seeds is marked as best beside one of fewer that is proven to be above.

    So it would be of a random predictor, which costs nothing and has many seeds.
    """
    few, *many = rows(seeds=5, better=(0.3, 0.0, 0.01))
    few = Row("few", {place: run for place, run in few.runs.items() if place[1] < 3})
    family = judged([few, *many], [0], draws=FEW)
    assert family.is_below_another("hiou")
    assert family.ranks("few", "hiou") == (1, 1)
    assert family.not_separated("hiou") == frozenset()
    assert judged(many, [0], draws=FEW).not_separated("hiou") == {"b", "c"}


def test_equivalence():
    """Fails if nearly equal methods are not called equivalent where delta is wide, or are where it is narrow."""
    a, _ = study(np.random.default_rng(7), seeds=6, images=300)
    twin = {key: Counts(r.hit * 1.0001, r.truth, r.predicted, r.seen) for key, r in a.items()}
    pair = [Row("a", a), Row("b", twin)]
    assert judged(pair, [0], draws=FEW, delta=0.02).verdict("a", "b", "hiou").words == ("lower, by less than 2 points")
    unlike = rows(seeds=6, better=(0.0, 0.0))
    assert judged(unlike, [0], draws=FEW, delta=0.5).verdict("a", "b", "hiou").words == "equivalent within 50 points"
    assert judged(unlike, [0], draws=FEW, delta=1e-6).verdict("a", "b", "hiou").words == APART


def test_the_same_method_twice_is_no_different():
    """Fails if a method beats itself, or if no difference has another p than 1."""
    (row,) = rows(better=(0.0,))
    family = judged([row, Row("again", row.runs)], [0], draws=FEW)
    for metric in METRICS:
        verdict = family.verdict("a", "again", metric)
        assert (verdict.found.by.value, verdict.found.by.half(), verdict.p) == (0.0, 0.0, 1.0)


def test_only_shared_runs_count_and_seeds_that_lack_a_fold_do_not():
    """Fails if a seed that one of them lacks, or that lacks a fold, enters a difference or a mean."""
    a, b = study(np.random.default_rng(8), seeds=3)
    extra = a | {(0, 9): a[0, 0], (1, 0): a[0, 1]}
    family = judged([Row("a", extra), Row("b", b)], [0], draws=FEW)
    plain = judged([Row("a", a), Row("b", b)], [0], draws=FEW)
    one, other = (f.verdict("a", "b", "hiou").found for f in (family, plain))
    assert one.seeds == (0, 1, 2)
    assert one.by.value == pytest.approx(other.by.value)
    assert one.by.half() == pytest.approx(other.by.half())
    assert complete(extra, [0, 1]) == (0,)
    assert family.means["a"]["hiou"].seeds == 4  # its own mean has its own seeds


def test_differences_of_each_fold():
    """Fails if the differences of the folds are not those whose mean is the difference."""
    family = judged(rows(folds=3), [0, 1, 2], draws=FEW)
    found = family.verdict("a", "b", "hiou").found
    assert sorted(found.folds) == [0, 1, 2]
    assert np.mean(list(found.folds.values())) == pytest.approx(found.by.value)
    assert found.a - found.b == pytest.approx(found.by.value)


def test_other_images_are_no_pair():
    """Fails if runs that scored different images are compared image by image."""
    a, _ = study(np.random.default_rng(9))
    c, _ = study(np.random.default_rng(9), images=70)
    with pytest.raises(ValueError, match="80 and 70 images"):
        judged([Row("a", a), Row("c", c)], [0], draws=FEW)


def test_an_undefined_metric_is_undefined():
    """Fails if a difference of nothing comes out as a number, or stops the others."""
    a, b = study(np.random.default_rng(10))
    empty = {k: Counts(c.hit * c.seen, c.truth * c.seen, c.predicted * c.seen, seen=c.seen) for k, c in a.items()}
    family = judged([Row("a", empty), Row("b", b)], [0], draws=FEW)
    assert family.verdict("a", "b", "hiou").words == UNDEFINED
    assert family.verdict("a", "b", "miou_seen").words in (HIGHER, LOWER, APART)
    assert family.verdict("a", "b", "miou_seen").family == 1


def test_images_that_say_nothing_of_others_establish_nothing():
    """Fails if one image, whose draws are all alike, has an interval of no width, or an interval is made of the draws
    that happen to hold an unseen class where many hold none."""
    found = rows(seeds=3, better=(0.0, 0.3))
    one = [
        Row(r.name, {at: Counts(c.hit[:1], c.truth[:1], c.predicted[:1], c.seen) for at, c in r.runs.items()})
        for r in found
    ]
    rare = []
    for row in found:
        runs = {}
        for at, c in row.runs.items():
            there = (np.arange(len(c.hit)) < 2)[
                :, None
            ] | c.seen  # two images hold unseen classes, none is predicted elsewhere
            runs[at] = Counts(c.hit * there, c.truth * there, c.predicted * there, c.seen)
        rare.append(Row(row.name, runs))
    for family, metric in ((judged(one, [0], draws=FEW), "miou_seen"), (judged(rare, [0], draws=FEW), "miou_unseen")):
        assert family.verdict("a", "b", metric).words == UNDEFINED
        assert math.isnan(family.means["a"][metric].half())
        assert family.not_separated(metric) == frozenset()
        assert family.first[metric] == {}
    assert judged(found, [0], draws=FEW).verdict("a", "b", "miou_unseen").words == LOWER


def test_classes_are_resampled_within_folds():
    """Fails if the error over classes is not that of a stratified mean: sqrt(sum of s_f^2 / n_f) / folds, df by fold.

    For mIoU(U) the bootstrap has a closed form; hIoU follows it to first order.
    """
    a, b = study(np.random.default_rng(11), seeds=2, folds=3)
    flags = np.array([True] * 2 + [False] * 3)
    a, b = ({k: Counts(c.hit, c.truth, c.predicted, flags) for k, c in of.items()} for of in (a, b))
    error, df = over_classes(a, b, "miou_unseen", [0, 1, 2], [0, 1])
    total = 0.0
    for fold in range(3):
        classes = [np.mean([ious(of[fold, s], np.ones((1, 80)))[0][2:] for s in (0, 1)], axis=0) for of in (a, b)]
        total += stats.sem(classes[0] - classes[1]) ** 2
    assert df == 6
    assert error == pytest.approx(math.sqrt(total) / 3, rel=0.02)
    assert math.isnan(over_classes(a, b, "miou_seen", [0], [0])[0])
    verdict = judged([Row("a", a), Row("b", b)], [0, 1, 2], draws=FEW, over=over_classes).verdict("a", "b", "hiou")
    assert verdict.found.by.df == 6
    assert math.isnan(judged([Row("a", a), Row("b", b)], [0], over=over_classes).verdict("a", "b", "miou_seen").p)


def test_one_unseen_class_says_nothing_of_others():
    """Fails if an interval over classes is made of one class."""
    a, b = study(np.random.default_rng(12))
    flags = np.array([True] * 4 + [False])
    a, b = ({k: Counts(c.hit, c.truth, c.predicted, flags) for k, c in of.items()} for of in (a, b))
    assert math.isnan(over_classes(a, b, "hiou", [0], [0, 1, 2])[0])
    assert len(SEEN) == len(flags)

"""Is one method better than another? The verdicts of all pairs of a table's rows, one family of tests for each metric.

A pair is compared on the folds and seeds that both rows have; folds are fixed, images and seeds vary
(`results.tables.inference`). p values are Holm-corrected over all tested pairs of the family, whichever of them anybody
looks at. Pairs with one common seed, and rows made from or scored on part of the data, are not tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from results.tables.bootstrap import DRAWS, LACKING, Weights, scores, spread, streamed_draws
from results.tables.inference import ALPHA, DELTA, Uncertain, holm
from results.tables.statistics import METRICS, Counts, Head, Runs, head_of, shared

HIGHER, LOWER, EQUIVALENT, APART = "higher", "lower", "equivalent", "not separated"
ONE_SEED, PARTIAL, UNDEFINED = "one seed: not tested", "partial: not tested", "undefined"
FEW_IMAGES = f"one image, or more than {100 * LACKING:g} % of the draws without a class of that kind"  # no error of
Place = tuple[int, int]  # fold, seed
Key = tuple[str, tuple[int, ...], tuple[int, ...]]  # row, folds, seeds
Over = Callable[[Runs, Runs, str, Sequence[int], Sequence[int]], tuple[float, float]]


@dataclass(frozen=True)
class Row:
    """One row of a table: its runs, and whether it competes at all."""

    name: str
    runs: Runs
    partial: bool = False


@dataclass(frozen=True)
class Difference:
    """A - B of one metric, as a fraction, over the folds and seeds that both have."""

    a: float
    b: float
    by: Uncertain
    folds: Mapping[int, float]  # the difference in each fold, the mean over seeds
    seeds: tuple[int, ...]
    partial: bool = False

    @property
    def reversed(self) -> Difference:
        """B - A."""
        by = self.by
        turned = Uncertain(-by.value, by.of_sample, by.of_seeds, by.seeds, by.df, -by.high, -by.low, by.simulated)
        return Difference(self.b, self.a, turned, {f: -v for f, v in self.folds.items()}, self.seeds, self.partial)


@dataclass(frozen=True)
class Verdict:
    """What a family of tests says of one pair."""

    found: Difference
    p: float  # of no difference, Holm-corrected over the family
    p_equivalent: float  # of a difference of delta or more, Holm-corrected over the family
    delta: float
    family: int  # tested pairs

    @property
    def words(self) -> str:
        """What A is beside B."""
        if math.isnan(self.found.by.value) or math.isnan(self.found.by.half()):
            return UNDEFINED
        if self.found.partial:
            return PARTIAL
        if not self.found.by.tested:
            return ONE_SEED
        within = f"{100 * self.delta:g} point{'s' * (self.delta != 0.01)}"
        if self.p < ALPHA:
            word = HIGHER if self.found.by.value > 0 else LOWER
            return f"{word}, by less than {within}" if self.p_equivalent < ALPHA else word
        return f"{EQUIVALENT} within {within}" if self.p_equivalent < ALPHA else APART

    @property
    def separated(self) -> bool:
        """Is one of the two established as the higher one?"""
        return self.words.startswith((HIGHER, LOWER))

    @property
    def reversed(self) -> Verdict:
        """The same of B beside A."""
        return Verdict(self.found.reversed, self.p, self.p_equivalent, self.delta, self.family)


@dataclass(frozen=True)
class Family:
    """Rows of one table with their means, and the verdict of every pair in every metric."""

    rows: tuple[Row, ...]
    means: Mapping[str, Mapping[str, Uncertain]]  # row -> metric -> its mean; NaN without a seed that has all folds
    verdicts: Mapping[tuple[str, str, str], Verdict]  # (A, B, metric), A before B among the rows
    first: Mapping[str, Mapping[str, float]]  # metric -> row -> probability of being first; rows of several seeds
    draws: int = DRAWS
    at: Mapping[Key, Mapping[str, Uncertain]] = field(default_factory=dict)  # means over the folds and seeds of pairs
    folds: tuple[int, ...] = ()  # those that a row's mean goes over

    def verdict(self, a: str, b: str, metric: str) -> Verdict:
        """A beside B; raises KeyError where they have no fold and seed in common."""
        known = self.verdicts.get((a, b, metric))
        return known if known is not None else self.verdicts[b, a, metric].reversed

    def pair(self, a: str, b: str, metric: str) -> Verdict | None:
        """A beside B, None where they are no pair."""
        return (
            self.verdict(a, b, metric) if (a, b, metric) in self.verdicts or (b, a, metric) in self.verdicts else None
        )

    def ranks(self, row: str, metric: str) -> tuple[int, int]:
        """The best and the worst place that the family's verdicts leave to a row, at 95 % for all rows at once.

        Each row that is established above takes away one place from the top, each below one from the bottom. (Mohamad,
        Goeman and van Zwet, 2019, arXiv 1704.02729: such intervals hold together with the confidence of the family.)
        """
        words = [verdict.words for verdict in self.beside(row, metric).values()]
        above, below = (sum(word.startswith(start) for word in words) for start in (LOWER, HIGHER))
        return 1 + above, len(self.competing(metric)) - below

    def not_separated(self, metric: str) -> frozenset[str]:
        """The row with the highest mean and those not separated from it, none of fewer seeds than it.

        Where a row with more seeds is no lower, the one with fewer cannot lead; partial rows compete for nothing. None
        where the leading row is established below one of fewer (`is_below_another`).
        """
        able = self._of_most_seeds(metric)
        if len(able) < 2 or self.is_below_another(metric):
            return frozenset()
        best = self._highest(able, metric)
        if not self.means[best][metric].judged:
            return frozenset()
        apart = {name for name, verdict in self.beside(best, metric).items() if verdict.separated}
        return frozenset(name for name in able if name not in apart and self.means[name][metric].judged)

    def is_below_another(self, metric: str) -> bool:
        """Is the highest of the rows with most seeds established below a row of other seeds?"""
        able = self._of_most_seeds(metric)
        beside = self.beside(self._highest(able, metric), metric) if able else {}
        return any(verdict.words.startswith(LOWER) for verdict in beside.values())

    def _of_most_seeds(self, metric: str) -> list[str]:
        able = self.competing(metric)
        most = max((self.means[name][metric].seeds for name in able), default=0)
        return [name for name in able if self.means[name][metric].seeds == most]

    def _highest(self, names: Sequence[str], metric: str) -> str:
        return max(names, key=lambda name: self.means[name][metric].value)

    def competing(self, metric: str) -> list[str]:
        """The rows that have a place among all: made from whole data, with a mean over all folds."""
        return [r.name for r in self.rows if not r.partial and not math.isnan(self.means[r.name][metric].value)]

    def beside(self, row: str, metric: str) -> dict[str, Verdict]:
        """A row beside each one that competes, where both have all folds with a common seed: fewer are no mean."""
        pairs = {name: self.pair(row, name, metric) for name in self.competing(metric) if name != row}
        return {name: pair for name, pair in pairs.items() if pair and pair.found.folds.keys() == {*self.folds}}


def judged(
    rows: Sequence[Row],
    folds: Sequence[int],
    *,
    delta: float = DELTA,
    draws: int = DRAWS,
    over: Over | None = None,
    memo: Memo | None = None,
) -> Family:
    """The family of these rows. folds: those that a mean of a row goes over. memo: of other families with some of them.

    over: what takes the place of the images as the sample, from two rows' runs, a metric, folds and seeds to the
    standard error of the difference and its degrees of freedom. Rows with no fold and seed in common are no pair, nor
    is a partial row that scored other images. Raises ValueError where whole runs of a pair scored other images.
    """
    spans = {row.name: complete(row.runs, folds) for row in rows}
    pairs = [(a, b, *shared(a.runs, b.runs)) for a, b in combinations(rows, 2)]
    pairs = [pair for pair in pairs if pair[3]]
    keys = [(row.name, tuple(folds), spans[row.name]) for row in rows if spans[row.name]]
    keys += [(row.name, pair[2], pair[3]) for pair in pairs for row in pair[:2]]
    keys = list(dict.fromkeys(keys))
    known = _Means(rows, keys, draws, memo)
    means = {row.name: known.estimates(row.name, tuple(folds), spans[row.name]) for row in rows}
    found: dict[tuple[str, str, str], Difference] = {}
    for a, b, common, seeds in pairs:
        if not known.same_images(a, b, common, seeds):
            continue
        for metric in METRICS:
            found[a.name, b.name, metric] = known.difference(a, b, metric, common, seeds, over)
    at = {(name, over_folds, seeds): known.estimates(name, over_folds, seeds) for name, over_folds, seeds in keys}
    whole = {row.name: means[row.name] for row in rows if not row.partial}
    first = known.first(whole, folds, spans)
    return Family(tuple(rows), means, _corrected(found, delta), first, draws, at, tuple(folds))


def complete(runs: Runs, folds: Sequence[int]) -> tuple[int, ...]:
    """The seeds that have every one of these folds."""
    return tuple(seed for seed in sorted({seed for _, seed in runs}) if all((fold, seed) in runs for fold in folds))


def _corrected(found: Mapping[tuple[str, str, str], Difference], delta: float) -> dict[tuple[str, str, str], Verdict]:
    verdicts = {}
    for metric in METRICS:
        keys = [key for key in found if key[2] == metric]
        ps = {key: found[key].by.p for key in keys if not found[key].partial}
        tested = [key for key, p in ps.items() if not math.isnan(p)]  # else no test could be made
        corrected_ps = holm([ps[key] for key in tested])
        equivalents = holm([found[key].by.p_equivalent(delta) for key in tested])
        corrected = dict(zip(tested, zip(corrected_ps, equivalents, strict=True), strict=True))
        for key in keys:
            p, equivalent = corrected.get(key, (math.nan, math.nan))
            verdicts[key] = Verdict(found[key], p, equivalent, delta, len(tested))
    return verdicts


@dataclass
class Memo:
    """What families with some rows in common need not make twice: draws of means, and scores, of runs with a name."""

    means: dict[frozenset[tuple[Head, float]], NDArray[np.float32]] = field(default_factory=dict)
    points: dict[Head, dict[str, float]] = field(default_factory=dict)

    def keep(self, runs: frozenset[tuple[Head, float]], drawn: NDArray[np.float32]) -> None:
        """Remember the draws of a mean over these runs with their weights, of a few of them: they are large."""
        if runs and len(self.means) < 64:
            self.means[runs] = drawn


class _Means:
    """Means of rows over folds and seeds, as scored and in every draw of images."""

    def __init__(self, rows: Sequence[Row], keys: Sequence[Key], draws: int, memo: Memo | None = None):
        memo = memo or Memo()
        self._points: dict[tuple[str, Place], dict[str, float]] = {}
        self._heads: dict[tuple[str, Place], Head] = {}
        by_name = {row.name: row for row in rows}
        asked: dict[str, dict[Place, None]] = {row.name: {} for row in rows}
        for name, folds, seeds in keys:
            asked[name] |= dict.fromkeys((f, s) for f in folds for s in seeds)
        runs = [(name, place) for name, of in asked.items() for place in of]
        places = {run: number for number, run in enumerate(runs)}
        for name, place in runs:
            self._heads[name, place] = head_of(by_name[name].runs, place)

        def read(number: int) -> Counts:
            name, place = runs[number]
            counts, head = by_name[name].runs[place], self._heads[name, place]
            found = self._points[name, place] = scores(counts)
            if head.name:
                memo.points[head] = found
            return counts

        wanted: list[Weights] = [
            {places[name, (f, s)]: 1 / (len(folds) * len(seeds)) for f in folds for s in seeds}
            for name, folds, seeds in keys
        ]
        self._draws = dict(zip(keys, _drawn(list(self._heads.values()), read, wanted, draws, memo), strict=True))
        for number, run in enumerate(runs):  # those that were not read, as others counted the same
            if run not in self._points:
                self._points[run] = memo.points.get(self._heads[run]) or scores(read(number))

    def same_images(self, a: Row, b: Row, folds: Sequence[int], seeds: Sequence[int]) -> bool:
        """Were the same images scored? Raises ValueError where whole runs scored others."""
        for place in ((f, s) for f in folds for s in seeds):
            one, other = self._heads[a.name, place], self._heads[b.name, place]
            if (one.size, one.images) != (other.size, other.images):
                if a.partial or b.partial:
                    return False
                sizes = f"{one.size} and {other.size} images"
                raise ValueError(f"{a.name} and {b.name}: {sizes}, or not the same ones: these runs are no pair")
        return True

    def _images(self, name: str, folds: Iterable[int], seeds: Sequence[int]) -> int:
        """Of the run with fewest."""
        return min(self._heads[name, (fold, seed)].size for fold in folds for seed in seeds)

    def by_seed(self, name: str, metric: str, folds: Iterable[int], seed: int) -> float:
        """Mean over folds of one seed."""
        return fmean(self._points[name, (fold, seed)][metric] for fold in folds)

    def estimates(self, name: str, folds: tuple[int, ...], seeds: tuple[int, ...]) -> dict[str, Uncertain]:
        """Of one row, by metric."""
        if not seeds:
            return dict.fromkeys(METRICS, Uncertain(math.nan, math.nan, math.nan, 0))
        found = {}
        for i, metric in enumerate(METRICS):
            values = [self.by_seed(name, metric, folds, seed) for seed in seeds]
            found[metric] = _uncertain(values, self._draws[name, folds, seeds][i], self._images(name, folds, seeds))
        return found

    def difference(
        self, a: Row, b: Row, metric: str, folds: tuple[int, ...], seeds: tuple[int, ...], over: Over | None
    ) -> Difference:
        """A - B of one metric."""
        of = {row.name: [self.by_seed(row.name, metric, folds, seed) for seed in seeds] for row in (a, b)}
        values = [one - other for one, other in zip(of[a.name], of[b.name], strict=True)]
        if over is None:
            i = METRICS.index(metric)
            draws = self._draws[a.name, folds, seeds][i] - self._draws[b.name, folds, seeds][i]
            by = _uncertain(values, draws, self._images(a.name, folds, seeds))
        else:
            error, df = over(a.runs, b.runs, metric, folds, seeds)
            by = Uncertain(fmean(values), error, standard_error(values), len(values), df)
        points = self._points
        each = {f: fmean(points[a.name, (f, s)][metric] - points[b.name, (f, s)][metric] for s in seeds) for f in folds}
        return Difference(fmean(of[a.name]), fmean(of[b.name]), by, each, seeds, a.partial or b.partial)

    def first(
        self, means: Mapping[str, Mapping[str, Uncertain]], folds: Sequence[int], spans: Mapping[str, tuple[int, ...]]
    ) -> dict[str, dict[str, float]]:
        """Probability of being the highest row: the share of draws, images shared, seeds t-distributed for each row."""
        able = [name for name in means if len(spans[name]) > 1]
        found: dict[str, dict[str, float]] = {}
        for i, metric in enumerate(METRICS):
            rows = [name for name in able if means[name][metric].judged]
            rng = np.random.default_rng([i, len(rows)])
            drawn = []
            for name in rows:
                by, draws = means[name][metric], self._draws[name, tuple(folds), spans[name]][i]
                drawn.append(draws + by.of_seeds * rng.standard_t(by.seeds - 1, len(draws)))
            if len(drawn) < 2:
                found[metric] = {}
                continue
            values = np.nan_to_num(np.stack(drawn), nan=-1.0)
            wins = values == values.max(axis=0)
            found[metric] = dict(zip(rows, (wins / wins.sum(axis=0)).mean(axis=1).tolist(), strict=True))  # ties share
        return found


def _drawn(
    heads: Sequence[Head], read: Callable[[int], Counts], wanted: Sequence[Weights], draws: int, memo: Memo
) -> list[NDArray[np.float32]]:
    """The draws of every wanted mean, those that the memo has not made anew."""
    if not draws:
        return [np.empty((len(METRICS), 0), dtype=np.float32) for _ in wanted]
    named = [
        frozenset((heads[place], weight) for place, weight in of.items())
        if len({heads[place] for place in of}) == len(of) and all(heads[place].name for place in of)
        else frozenset()  # runs without a name, or that count alike, are told apart by nothing here
        for of in wanted
    ]
    fresh = [which for which, runs in enumerate(named) if runs not in memo.means]
    made = streamed_draws(heads, read, [wanted[which] for which in fresh], draws)
    found = {which: memo.means[runs] for which, runs in enumerate(named) if runs in memo.means}
    for which, drawn in zip(fresh, made, strict=True):
        found[which] = drawn
        memo.keep(named[which], drawn)
    return [found[which] for which in range(len(wanted))]


def _uncertain(values: Sequence[float], draws: NDArray[np.float32], images: int) -> Uncertain:
    """From one value a seed and the draws of their mean."""
    value = fmean(values)
    if math.isnan(value):
        return Uncertain(math.nan, math.nan, math.nan, len(values))
    error, simulated = spread(draws, images)
    low, high = np.nanquantile(draws, [ALPHA / 2, 1 - ALPHA / 2]) if error > 0 else (value, value)
    return Uncertain(value, error, standard_error(values), len(values), math.inf, float(low), float(high), simulated)


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of one value a seed; NaN for one seed."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def row_means(rows: Sequence[Row], folds: Sequence[int], draws: int = DRAWS) -> dict[str, Mapping[str, Uncertain]]:
    """The means of rows over these folds, of which nothing is compared: row -> metric -> mean."""
    spans = {row.name: complete(row.runs, folds) for row in rows}
    keys = [(row.name, tuple(folds), spans[row.name]) for row in rows if spans[row.name]]
    known = _Means(rows, keys, draws)
    return {row.name: known.estimates(row.name, tuple(folds), spans[row.name]) for row in rows}

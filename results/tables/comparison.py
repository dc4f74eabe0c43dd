"""Methods against one another from stored records: what `compare` prints. Verdicts are in `results.tables.verdicts`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import pandas as pd

from results.store.confusion import Locate
from results.store.record import RunRecord
from results.tables.class_differences import class_differences
from results.tables.classes_and_costs import Variants, by_variant
from results.tables.content import ABLATION, Content, by_recipe, elsewhere, fold_range, gather, parts_of, trained_by
from results.tables.families import Counted, family_of, reader
from results.tables.inference import ALPHA, DELTA, POWER, holm
from results.tables.notes import measured
from results.tables.over_classes import over_classes
from results.tables.row_names import names_of
from results.tables.sentences import p_words
from results.tables.stale_rows import stale_names, stale_notes
from results.tables.statistics import METRICS, shared
from results.tables.table import HEADERS, PARTIAL_NOTE, UNDEFINED, Column, Table, csv_text, marked, signed
from results.tables.table import Row as Cells
from results.tables.verdicts import FEW_IMAGES, Family, Row, Verdict
from results.tables.warned import warned
from splits.errors import UserError
from splits.near import suggestion

SURE = f"{100 * (1 - ALPHA):g} %"


@dataclass(frozen=True)
class Wanted:
    """What to compare, and how."""

    names: tuple[str, ...]  # methods, or rows; the first beside each other one
    over: str = "images"  # what an interval is over, besides seeds: images, or classes
    delta: float = DELTA  # smaller differences are equivalent; a fraction
    fail_under: float | None = None  # in points
    folds: tuple[int, ...] = ()  # the only ones that count; empty: all

    def __post_init__(self) -> None:
        """Raises UserError for numbers that no difference could be held against."""
        if self.over not in ("images", "classes"):
            raise UserError(f"compare: intervals are over images or classes, not {self.over!r}")
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise UserError(f"--delta {100 * self.delta:g}: expected points above 0")
        if self.fail_under is not None and not math.isfinite(self.fail_under):
            raise UserError(f"--fail-under {self.fail_under:g}: expected points, a finite number")


@dataclass(frozen=True)
class Comparison:
    """The first row named beside each other one, and the family in which they were judged."""

    family: Family
    names: tuple[str, ...]
    table: str  # which table's rows the family is
    over: str  # what was drawn: images, or classes

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """A beside each B."""
        return [(self.names[0], other) for other in self.names[1:]]


def compare_records(
    records: Sequence[RunRecord], wanted: Wanted, locate: Locate, stale: frozenset[str] = frozenset()
) -> tuple[list[Table], list[str]]:
    """The tables of every benchmark that has runs of all, and a line for each difference in hIoU that is too small.

    stale: folders of runs whose method sources, body weights or data have changed since: their rows are marked.
    Each pair is judged in the table that `tables` prints both of its rows in, whichever other rows are named. Raises
    UserError where no benchmark has runs of all.
    """
    methods, read = wanted.names, reader(locate)
    if len(methods) < 2:
        raise UserError(f"compare {methods[0]}: names one method; expected two or more")
    of_folds = _of_folds(records, wanted.folds)
    contents = [content for content in gather(of_folds, {}, divided=False) if has(content, methods)]
    if not contents:
        known = sorted({record.result.train.method for record in records})
        if strange := [name for name in methods if not any(has(content, [name]) for content in gather(records, {}))]:
            raise UserError(f"compare: there is no run of {strange[0]!r}; {suggestion(strange[0], known)}")
        raise UserError(f"compare {' '.join(methods)}: no benchmark has runs of all; there are: {', '.join(known)}")
    tables, failed = [], []
    for content, names in (judged for whole in contents for judged in _judged_together(whole, methods)):
        found = compare_content(content, names, read, delta=wanted.delta, over=wanted.over)
        tables += tables_of_comparison(content, found, read, stale)
        failed += [] if wanted.fail_under is None else below(found, wanted.fail_under)
    return tables, failed


def _judged_together(whole: Content, methods: Sequence[str]) -> Iterator[tuple[Content, list[str]]]:
    """The first method with those others that stand in one table with it, table by table.

    whole: of all recipes. Rows of two recipes stand in no table: their family is that of all rows under the protocol.
    """
    first, *others = methods
    found: dict[tuple[str, str], tuple[Content, list[str]]] = {}
    for other in others:
        for content in [part for part in by_recipe(whole) if has(part, (first, other))] or [whole]:
            everything = by_variant(content.records, names_of(content))
            names = [_row_named(name, everything) for name in (first, other)]
            group, _ = _table_with(content, names, everything)
            _, named = found.setdefault((content.recipe, group), (content, [first]))
            named.append(other)
    yield from found.values()


def _of_folds(records: Sequence[RunRecord], folds: Sequence[int]) -> Sequence[RunRecord]:
    """The records that are scored on these folds; all where none is named. Raises UserError for a fold without any."""
    there = {record.result.evaluation.fold for record in records}
    if lacking := sorted(set(folds) - there):
        raise UserError(f"--folds {lacking[0]}: no record is of that fold; there are: {fold_range(sorted(there))}")
    return [record for record in records if record.result.evaluation.fold in folds] if folds else records


def compare_content(
    content: Content, methods: Sequence[str], read: Counted, *, delta: float = DELTA, over: str = "images"
) -> Comparison:
    """The first method against each of the others. Raises UserError for a name that is no row, or is several.

    The family is that of the table in which all of them stand (the comparison, or an ablation), else of all rows under
    the protocol: never only of the ones that are named.
    """
    everything = by_variant(content.records, names_of(content))
    names = tuple(_row_named(method, everything) for method in methods)
    if len(set(names)) != len(names):
        raise UserError(f"compare {' '.join(methods)}: these are not different methods")
    where, variants = _table_with(content, names, everything)
    family = family_of(content, variants, read, delta=delta, over=over_classes if over == "classes" else None)
    found = Comparison(family, names, where, over)
    for a, b in found.pairs:
        if not shared(*(row.runs for row in _named_rows(family, a, b)))[1]:
            raise UserError(f"compare {a} with {b}: no seed has every fold that both have")
        if family.pair(a, b, "hiou") is None:
            raise UserError(f"compare {a} with {b}: they scored other images; these runs are no pair")
    return found


def _table_with(content: Content, names: Sequence[str], everything: Variants) -> tuple[str, Variants]:
    of_one_recipe = len(by_recipe(content)) == 1  # else no table has these rows
    for group, part in parts_of(content).items() if of_one_recipe else ():
        variants = by_variant(part.records, names_of(content))
        if set(names) <= variants.keys():
            return group, variants
    return "all rows under the protocol", everything


def has(content: Content, methods: Sequence[str]) -> bool:
    """Does this content have generalised runs of all of them, by method or by the name of a row?"""
    if content.episodic:
        return False
    there = set(names_of(content).values()) | {record.result.label for record in content.records}
    if not content.source:  # weights trained elsewhere are compared where a row is named, never by the way
        there |= {record.result.train.method for record in content.records}
    return set(methods) <= there


def tables_of_comparison(
    content: Content, found: Comparison, read: Counted, stale: frozenset[str] = frozenset()
) -> list[Table]:
    """Differences with their half-widths and verdicts, the folds' differences, and the classes won and lost."""
    variants = by_variant(content.records, names_of(content))
    old = stale_names({name: variants[name] for name in found.names}, stale)
    rows = [_row(a, b, metric, found.family) for a, b in found.pairs for metric in METRICS]
    frame, folds = pd.DataFrame(rows), sorted({fold for row in rows for fold in row["by_fold"]})
    for fold in folds:
        frame[f"fold_{fold}"] = [row["by_fold"].get(fold, math.nan) for row in rows]
    frame = frame.assign(benchmark=content.split.name, recipe=content.recipe, source=content.source)
    frame = frame.assign(family=found.table, over=found.over, draws=found.family.draws)  # `table` is a CSV's own
    parts = [row.name for row in found.family.rows if row.partial]
    for side in ("a", "b"):
        frame = frame.assign(**{f"partial_{side}": frame[side].isin(parts), f"stale_{side}": frame[side].isin(old)})
    columns = [
        Column("A", partial(_name, key="a"), numeric=False),
        Column("B", partial(_name, key="b"), numeric=False),
        Column("metric", lambda row: HEADERS[row["metric"]], numeric=False),
        Column.figure("A, %", "mean_a", ".2f", scale=100),
        Column.figure("B, %", "mean_b", ".2f", scale=100),
        Column.percent("A − B", "difference", partial(_points, key="difference")),
        Column.figure("half-width", "half", ".2f", scale=100),
        Column.figure("detectable", "detectable", ".2f", scale=100),
        *(
            Column(header, partial(_p, key=key), value=itemgetter(key))
            for header, key in (("p (Holm)", "p_corrected"), ("p (TOST)", "p_equivalent"))
        ),
        Column.text("A is", "verdict"),
        *(Column.percent(f"fold {f}", f"fold_{f}", partial(_points, key=f"fold_{f}")) for f in folds if len(folds) > 1),
    ]
    lines = [*measured(content), *_explained(found), *_classes(content, found, read)]
    compared = [record for name in found.names for record in variants[name]]
    lines += warned(record.result for record in compared)
    lines += stale_notes(compared, stale)
    group = f", ablations of {found.table.partition(':')[2]}" if found.table.startswith(ABLATION) else ""
    title = f"{content.split.name}{trained_by(content)}{elsewhere(content)}{group}: paired differences, in points"
    return [Table(title, frame.drop(columns="by_fold"), tuple(columns), tuple(lines), content.protocol, "comparison")]


def one_csv(tables: Sequence[Table]) -> str:
    """The differences of every benchmark and recipe as one CSV: two with headers of their own would be none."""
    return csv_text(pd.concat([table.fields() for table in tables], ignore_index=True))


def below(found: Comparison, points: float) -> list[str]:
    """A line for each pair whose difference in hIoU is under so many points, or undefined."""
    lines = []
    for a, b in found.pairs:
        difference = 100 * found.family.verdict(a, b, "hiou").found.by.value
        if math.isnan(difference) or difference < points:
            lines.append(f"{a} - {b}: hIoU {difference:+.2f} points, under {points:+g}")
    return lines


def _row_named(method: str, variants: Variants) -> str:
    if method in variants:
        return method
    of_method = [
        name for name, runs in variants.items() if method in (runs[0].result.train.method, runs[0].result.label)
    ]
    if len(of_method) == 1:
        return of_method[0]
    known = "; ".join(of_method or variants)
    raise UserError(f"compare {method}: {'several rows have' if of_method else 'no row has'} this name: {known}")


def _row(a: str, b: str, metric: str, family: Family) -> dict[str, Any]:
    verdict: Verdict = family.verdict(a, b, metric)
    found, by = verdict.found, verdict.found.by
    return {
        "a": a,
        "b": b,
        "metric": metric,
        "mean_a": found.a,
        "mean_b": found.b,
        "difference": by.value,
        "half": by.half(),
        "low": by.value - by.half(),
        "high": by.value + by.half(),
        "detectable": by.detectable,
        "p": by.p,
        "p_corrected": verdict.p,
        "p_equivalent": verdict.p_equivalent,
        "verdict": verdict.words,
        "delta": verdict.delta,
        "comparisons": verdict.family,
        "error_sample": by.of_sample,
        "error_seeds": by.of_seeds,
        "error_monte_carlo": by.simulated,
        "sample_low": by.low,
        "sample_high": by.high,
        "seeds": len(found.seeds),
        "seed_list": " ".join(map(str, found.seeds)),
        "fold_list": " ".join(map(str, sorted(found.folds))),
        "by_fold": dict(found.folds),
    }


def _explained(found: Comparison) -> Iterator[str]:
    family = found.family
    for a, b in found.pairs:
        of = family.verdict(a, b, "hiou").found
        one, other = _named_rows(family, a, b)
        out = len(one.runs) + len(other.runs) - 2 * len(of.folds) * len(of.seeds)
        yield (
            f"{a} and {b}: folds {', '.join(map(str, of.folds))} (fixed: nothing is said of other folds), seeds "
            f"{', '.join(map(str, of.seeds))}{f'; {out} runs without a partner left out' if out else ''}."
        )
    if any(family.verdict(a, b, m).found.partial for a, b in found.pairs for m in METRICS):
        yield PARTIAL_NOTE
    yield from _half_widths(found)
    verdicts = [family.verdict(*found.pairs[0], metric) for metric in METRICS]
    tested = max(verdicts, key=lambda verdict: verdict.family)  # where no class is unseen, mIoU(S) alone is tested
    if tested.family:
        yield (
            f"p: {_corrected(tested.family, _family_words(found.table))}. Higher or lower: p under {ALPHA:g}; "
            f"equivalent: two one-sided tests (TOST), corrected among themselves, put the difference under "
            f"{_points_of(tested.delta)}."
        )
        yield f"Detectable: the true difference that one such test, uncorrected, finds in {100 * POWER:g} % of studies."
    if any(len(family.verdict(a, b, "hiou").found.seeds) == 1 for a, b in found.pairs):
        sample = "images" if found.over == "images" else "other unseen classes"
        yield (
            f"One seed: half-widths are over {sample} only, and are about these weights, not about the methods. Runs "
            "of both with more seeds (`--seeds 0 1 2`) are tested."
        )


def _corrected(family: int, of: str) -> str:
    """Over what p values are corrected; of: the table, in words."""
    if family == 1:
        return f"not corrected, for {of} has one tested pair"
    over = f"all {family} tested pairs of {of}, in each metric, whichever pairs are shown"
    return f"Holm-corrected over {over}; half-widths are not corrected"


def _family_words(table: str) -> str:
    return f"the table of {table}" if ":" in table or table == "comparison" else table


def _points_of(delta: float) -> str:
    return f"{100 * delta:g} point{'s' * (delta != 0.01)}"


def _half_widths(found: Comparison) -> Iterator[str]:
    """What a half-width is made of, how much of it is chance of the draws, and where a symmetric one misleads."""
    drawn = [(a, b, m, found.family.verdict(a, b, m).found.by) for a, b in found.pairs for m in METRICS]
    if found.over == "classes":
        yield (
            f"Half-width: half the {SURE} interval over other unseen classes (drawn within folds, "
            f"{found.family.draws:,} draws, t-shaped) and seeds (t), the root of the sum of their squared half-widths; "
            "seen classes are fixed."
        )
        return
    errors = [100 * by.simulated * 1.96 for *_, by in drawn if not math.isnan(by.simulated)]
    yield (
        f"Half-width: half the {SURE} interval, over images ({found.family.draws:,} draws, shared by all methods and "
        "seeds; normal) and seeds (paired, t), the root of the sum of their squared half-widths. Monte Carlo error at "
        f"most {max(errors, default=0.0):.3f} points."
    )
    if any(math.isnan(by.of_sample) and not math.isnan(by.value) for *_, by in drawn):
        yield f"Undefined although both have a value: {FEW_IMAGES}."
    for a, b, metric, by in drawn:
        if by.skewed:
            yield (
                f"Skewed over images: {a} - {b}, {HEADERS[metric]}: percentile interval {100 * by.low:+.2f} to "
                f"{100 * by.high:+.2f} points over images alone."
            )


def _named_rows(family: Family, *names: str) -> list[Row]:
    by_name = {row.name: row for row in family.rows}
    return [by_name[name] for name in names]


def _classes(content: Content, found: Comparison, read: Counted) -> Iterator[str]:
    """Classes in which A is higher, lower, or neither: Holm-corrected over the classes of the pair."""
    for a, b in found.pairs:
        verdict = found.family.verdict(a, b, "hiou").found
        if len(verdict.seeds) < 2 or verdict.partial:
            continue
        one, other = _named_rows(found.family, a, b)
        by_class = class_differences(one.runs, other.runs, list(verdict.folds), verdict.seeds)
        for seen, word in ((False, "unseen"), (True, "seen")):
            keys = [key for key in by_class if key[1] is seen and key[0] < len(content.split.classes)]
            corrected = holm([by_class[key].p for key in keys])
            groups: dict[str, list[tuple[float, str]]] = {"higher": [], "lower": [], "not separated": []}
            for (index, _), p in zip(keys, corrected, strict=True):
                value = by_class[index, seen].value
                if not math.isnan(p):
                    group = "not separated" if p >= ALPHA else "higher" if value > 0 else "lower"
                    groups[group].append((value, content.split.classes[index]))
            counts = [f"{name} in {len(of)}{_listed(of)}" for name, of in groups.items() if name != "not separated"]
            rare = sum(map(math.isnan, corrected))  # no error of these is known
            yield (
                f"Classes {word}, {a} beside {b}: {'; '.join(counts)}; not separated {len(groups['not separated'])}"
                f"{f'; too rare in the images to tell {rare}' if rare else ''} (Holm-corrected over these classes)."
            )


def _listed(classes: Sequence[tuple[float, str]]) -> str:
    if not classes:
        return ""
    ordered = sorted(classes, key=lambda item: (-abs(item[0]), item[1]))
    return f" ({', '.join(f'{label} {100 * value:+.1f}' for value, label in ordered)})"


def _name(row: Cells, key: str) -> str:
    return marked(row[key], {mark: row[f"{mark}_{key}"] for mark in ("partial", "stale")})


def _points(row: Cells, key: str) -> str:
    apart = row[key]
    return UNDEFINED if math.isnan(apart) else signed(100 * apart, 2)


def _p(row: Cells, key: str) -> str:
    return UNDEFINED if math.isnan(row[key]) else p_words(row[key])

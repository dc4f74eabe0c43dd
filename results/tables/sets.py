"""One table for many data sets: a row a method, a column a data set, and the mean. For open-vocabulary benchmarks.

Only what was asked and scored under one named protocol (`benchmarks.open_vocabulary`) stands in one table; which
protocol that is, is read off the stored sides, whatever a run was called. Published rows stand beside runs only where
they were made under the very protocol: of the sources of the register, one says that it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from statistics import fmean
from typing import Any, Final

import pandas as pd

from benchmarks.open_vocabulary import COMMON, EIGHT, NAMED, SETS, protocols_of
from benchmarks.recipes import recipe_for
from benchmarks.spec import clip_words
from benchmarks.values import canonical_json
from methods.registry import METHODS, config_class
from results.store.identity import settle
from results.store.record import Result, RunRecord
from results.store.staleness import WHAT
from results.tables.content import method_rank
from results.tables.register import OPEN, Number, numbers
from results.tables.row_names import differing, plain_setting, training_settings, with_settings
from results.tables.table import PARTIAL, PARTIAL_NOTE, STALE, UNDEFINED, Column, Row, Table
from results.tables.warned import warned
from splits.errors import UserError

# Repositories whose own figures were made as this harness has their protocol. NACLIP's refine masks afterwards, what
# others print of a method does not say how it was asked.
MADE_UNDER: Final = {"wangf3014/SCLIP": "sclip"}
MEAN: Final = "mean"


def sets_tables(records: Iterable[RunRecord], stale: frozenset[str] = frozenset()) -> list[Table]:
    """A table for each named protocol under which two data sets or more were scored.

    stale: folders of runs whose method sources, body weights or data have changed since.
    """
    groups: dict[str, dict[str, Result]] = {}  # by protocol, then by what was run
    for record in settle([r for r in records if _belongs(r.result)])[0]:
        scored, run = record.result.evaluation, f"{record.result.train.digest()} {record.result.evaluation.digest()}"
        for name in protocols_of(scored.benchmark, scored.side):
            groups.setdefault(name, {})[run] = record.result
    return [_table(names, list(groups[names[0]].values()), stale) for names in _apart(groups)]


def _apart(groups: Mapping[str, Mapping[str, Result]]) -> list[tuple[str, ...]]:
    """The protocols of each table: those with the very same runs in one, those with nothing of their own in none."""
    kept: list[list[str]] = []
    for name in NAMED:
        own = groups.get(name, {})
        if len({result.evaluation.benchmark for result in own.values()}) < 2:
            continue
        within = [names for names in kept if own.keys() <= groups[names[0]].keys()]
        if not within:
            kept.append([name])
        for names in within:
            if own.keys() == groups[names[0]].keys():
                names.append(name)
    return [tuple(names) for names in kept]


def published_sets(wanted: Collection[str] = SETS) -> list[Table]:
    """Everything that the register has of these data sets, without any run; none where it has nothing."""
    rows = _published(numbers(), wanted)
    if not rows:
        return []
    for row in rows:
        row["name"] = row["method"]
    sources = list(dict.fromkeys(row["source"] for row in rows))
    shown = [name for name in wanted if any(not math.isnan(row[name]) for row in rows)]
    columns = (
        Column.text("published method", "name"),
        Column("backbone", lambda row: row["backbone"] or UNDEFINED, numeric=False),
        *_set_columns(shown),
        Column("source", lambda row: f"[{row['source_number']}]", numeric=False),
    )
    frame = pd.DataFrame([row | {"source_number": sources.index(row["source"]) + 1} for row in rows])
    notes = (
        "As printed, mIoU in percent; no run of this harness stands here. Words, sizes, thresholds and refinements of "
        "masks differ from row to row, and most sources do not state them: two rows compare only where they do.",
        "Several rows of one method are of several sources. mean: over "
        "those of the eight usual data sets that are shown, where a row has all.",
        *(f"[{number}] {source}." for number, source in enumerate(sources, 1)),
    )
    return [Table("Open vocabulary: published", frame, columns, notes, None, "published-open-vocabulary")]


def _belongs(result: Result) -> bool:
    scored = result.evaluation
    return scored.benchmark in SETS and scored.part == "val" and not scored.drawn


def _table(names: tuple[str, ...], results: Sequence[Result], stale: frozenset[str]) -> Table:
    rows: dict[tuple[Any, ...], dict[str, list[Result]]] = {}
    for result in results:
        rows.setdefault(_key(result), {}).setdefault(result.evaluation.benchmark, []).append(result)
    shown = [benchmark for benchmark in SETS if any(benchmark in of for of in rows.values())]
    rows = {key: {benchmark: _no_trials(found) for benchmark, found in of.items()} for key, of in rows.items()}
    keys = sorted(rows, key=_order)
    trained = differing([key[1] for key in keys], [json.loads(key[-1]) for key in keys])
    made = [_row(key, of, rows[key], shown, stale) for key, of in zip(keys, trained, strict=True)]
    beside = [row for row in _published(numbers()) if row["protocol"] in names]
    for row in beside:
        row["name"] = f"{row['method']} (published, {row['backbone']})"
        row[MEAN] = _mean([row[benchmark] for benchmark in shown])
    columns = (Column("method", _name, numeric=False), Column.text("CLIP", "clip"), *_set_columns(shown))
    frame = pd.DataFrame([*made, *({"clip": row["backbone"], **row} for row in beside)])
    title = f"Open vocabulary, protocol {' and '.join(names)}: mIoU of each data set, in percent"
    return Table(title, frame, columns, tuple(_notes(names, rows, beside, stale)), None, f"sets-{names[0]}")


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return method_rank(key[0]), *key[1:]


def _key(result: Result) -> tuple[Any, ...]:
    """Runs of one row: of one method, CLIP, choice of settings and training; what its recipes set may differ."""
    train = result.train
    trained = training_settings(train.recipe.essence()) if train.recipe.iterations else {}
    of_clip = clip_words(train.clip), result.clip_sha256
    return train.method, result.label, *of_clip, canonical_json(_chosen(result)), canonical_json(trained)


def _chosen(result: Result) -> dict[str, Any]:
    """Settings of a method that are not those of its recipe for the data set, with their values."""
    train = result.train
    if train.method not in METHODS or train.predictions:
        return train.config
    try:
        usual = recipe_for(train.method, result.evaluation.benchmark, "native")[1] | METHODS[train.method].fixed
    except UserError:  # a method that is trained elsewhere
        return train.config
    of = config_class(train.method)
    mine, theirs = (of(**values).model_dump(mode="json") for values in (train.config, usual))
    return {name: value for name, value in mine.items() if value != theirs[name]}


def _row(
    key: tuple[Any, ...],
    trained: Mapping[str, Any],
    of: Mapping[str, Sequence[Result]],
    shown: Sequence[str],
    stale: frozenset[str],
) -> dict[str, Any]:
    method, label, clip, _, settings, _ = key
    results = [result for rs in of.values() for result in rs]
    values = {name: _score(of.get(name, ())) for name in shown}
    partial = {f"{name}_partial": any(result.partial for result in of.get(name, ())) for name in shown}
    return {
        "name": with_settings(label, {**json.loads(settings), **trained}),
        "method": method,
        "clip": clip,
        **values,
        **partial,
        MEAN: _mean([values[name] for name in shown]),
        "partial": any(result.partial for result in results),
        "stale": any(result.train.folder in stale for result in results),
        "seeds": len({result.train.seed for result in results}),
    }


def _no_trials(results: list[Result]) -> list[Result]:
    """Trial runs of a data set give way to whole ones: a mean over both would be of neither."""
    return [result for result in results if not result.partial] or results


def _score(results: Sequence[Result]) -> float:
    """The mean over seeds; NaN where there is none, or one is undefined."""
    values = [result.miou for result in results]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else math.nan


def _mean(values: Sequence[float]) -> float:
    """NaN where one is."""
    return math.nan if any(math.isnan(value) for value in values) else fmean(values)


def _set_columns(shown: Sequence[str]) -> Iterator[Column]:
    for name in (*shown, MEAN):
        yield Column.percent(name, name, _cell(name))


@cache
def _cell(name: str) -> Any:
    def cell(row: Row) -> str:
        mark = f" {PARTIAL}" if row.get(f"{name}_partial") is True else ""
        return UNDEFINED if math.isnan(row[name]) else f"{100 * row[name]:.1f}{mark}"

    return cell


def _name(row: Row) -> str:
    return f"{row['name']} {STALE}" if row.get("stale") is True else row["name"]


def _notes(
    names: tuple[str, ...],
    rows: Mapping[Any, Mapping[str, Sequence[Result]]],
    beside: Sequence[Any],
    stale: frozenset[str],
) -> Iterator[str]:
    yield from (f"Protocol {name}: {NAMED[name].title}." for name in names)
    if COMMON not in names:
        yield "Tuned per data set: its sizes, words and thresholds were chosen by its authors on these very images."
    yield (
        "mIoU over all classes, background among them where it is one (voc21, pc60, coco-object); mean: over the data "
        "sets shown, where a row has all."
    )
    results = [result for of in rows.values() for rs in of.values() for result in rs]
    if any(result.partial for result in results):
        yield PARTIAL_NOTE
    yield from warned(results)
    if any(result.train.folder in stale for result in results):
        yield f"{STALE} stale: {WHAT} have changed since some of its runs."
    if any(result.train.clip and result.train.clip.pretrained == "builtin" for result in results):
        yield "Made with the built-in CLIP, which was trained on drawn shapes: on photos these numbers mean nothing."
    yield from _tuned(results)
    if beside:
        sources = dict.fromkeys(f"{row['method']}: {row['source']}" for row in beside)
        yield f"Published under this protocol, as printed: {'; '.join(sources)}."
    else:
        yield "Published rows are not shown: no source says that it was made under this protocol (`--show published`)."


def _tuned(results: Sequence[Result]) -> Iterator[str]:
    """Settings that a method's authors chose for each data set on the images they report."""
    lines: dict[str, None] = {}
    for result in results:
        method = result.train.method
        fields = METHODS[method].tuned if method in METHODS else ()
        if fields:
            config = config_class(method)(**result.train.config)
            words = ", ".join(f"{name}={plain_setting(getattr(config, name))}" for name in fields)
            lines[f"{method} on {result.evaluation.benchmark} ({words})"] = None
    if lines:
        yield f"Tuned per data set, by their authors on the images they report: {'; '.join(lines)}."


def _published(every: Iterable[Number], wanted: Collection[str] = SETS) -> list[dict[str, Any]]:
    """Published rows of these data sets as fractions, a row for each method, backbone and source."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for number in every:
        if number.kind != OPEN or number.benchmark not in wanted:
            continue
        repository = next((place for place in MADE_UNDER if place in f"{number.paper} {number.table} {number.url}"), "")
        row = rows.setdefault(
            (number.method, number.backbone, number.source),
            {
                **dict.fromkeys(SETS, math.nan),
                "method": number.method,
                "backbone": number.backbone,
                "source": number.source,
                "protocol": MADE_UNDER.get(repository, ""),
                "note": number.note,
            },
        )
        row[number.benchmark] = round(number.value / 100, 6)
    averaged = [name for name in EIGHT if name in wanted]  # the two full sets are beside them, in no mean
    for row in rows.values():
        row[MEAN] = _mean([row[name] for name in averaged])
    return list(rows.values())

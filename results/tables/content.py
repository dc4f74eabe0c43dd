"""What each table is made from: the runs of one benchmark under one protocol, scored on one part.

`gather` sorts records into contents, `parts_of` parts one by group: the comparison, and each method's ablations.
Where methods were trained by several recipes of a benchmark, each recipe has contents of its own: methods beside one
another had the same training, and a family of verdicts is of them alone. What no such recipe trained stands in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.protocol import Protocol
from benchmarks.recipes import CHOICES
from benchmarks.spec import protocol_of
from methods.registry import METHODS
from results.store.confusion import Locate
from results.store.identity import Conflict, settle, table_of
from results.store.record import RunRecord
from splits.errors import UserError
from splits.loader import Split, load_split

COMPARISON, ABLATION = "comparison", "ablation:"  # groups of methods, as the registry has them
CHOSEN = frozenset(name for names in CHOICES.values() for name in names)  # what `--recipe` may name


class RunName(NamedTuple):
    """A run that is not there, in the order in which such runs are listed."""

    rank: int
    benchmark: str
    method: str
    fold: int
    seed: int
    folder: str
    recipe: str = ""  # its name, where it is known


@dataclass
class Content:
    """What one table is made from."""

    split: Split
    part: str = ""
    source: str = ""  # the benchmark that the weights were trained on, where that is another than the one scored
    protocol: Protocol | None = None
    records: list[RunRecord] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    copies: int = 0  # records beyond the first of a run, with the same result
    missing: dict[RunName, str] = field(default_factory=dict)  # -> state and reason
    locate: Locate | None = None  # where confusion matrices lie; None: they are not at hand
    recipe: str = ""  # of the records, where the benchmark's records are divided by it

    @property
    def episodic(self) -> bool:
        """Is the class of each item given?"""
        return self.protocol is not None and self.protocol.evaluation.kind == "episodic-binary"


def gather(
    records: Iterable[RunRecord],
    states: Mapping[str, str],
    locate: Locate | None = None,
    *,
    divided: bool = True,
    recipes: Mapping[str, str] = MappingProxyType({}),
) -> list[Content]:
    """What each table is made from: every run once, conflicts apart, runs that are not there by name.

    Drawn settings are left out: they are no choice of anybody's, and `results.tables.spread` has tables of them.
    divided: False leaves rows of several recipes together. recipes: the names of those of runs that are not there.
    """
    every = [record for record in records if not record.result.evaluation.drawn]
    kept, conflicts = settle(every)
    contents: dict[tuple[str, ...], Content] = {}

    def content(record: RunRecord) -> Content:
        of = table_of(record)
        key = tuple(of.values())
        if key not in contents:
            protocol = protocol_of(record.result.train, record.result.evaluation)
            contents[key] = Content(load_split(of["benchmark"]), of["part"], of["source"], protocol, locate=locate)
        return contents[key]

    for record in every:
        content(record).copies += 1
    for record in kept:
        content(record).records.append(record)
        content(record).copies -= 1
    for conflict in conflicts:
        content(conflict.records[0]).conflicts.append(conflict)
        content(conflict.records[0]).copies -= len(conflict.records)
    there = {r.result.train.folder for r in kept} | _folders(conflicts)
    _place_missing(contents, {f: states[f] for f in states.keys() - there}, recipes)
    ordered = [contents[key] for key in sorted(contents)]
    return [one for content in ordered for one in by_recipe(content)] if divided else ordered


def by_recipe(content: Content) -> list[Content]:
    """The content by recipes of a choice, the longest first; the content itself where no two of them are there."""
    recipes = {r.result.train.recipe.name: r.result.train.recipe.iterations for r in content.records}
    names = [name for name in sorted(recipes, key=lambda name: -recipes[name]) if name in CHOSEN]
    if len(names) < 2:
        return [content]

    def belongs(record: RunRecord, recipe: str) -> bool:
        return record.result.train.recipe.name not in CHOSEN - {recipe}

    return [
        replace(
            content,
            recipe=recipe,
            records=[record for record in content.records if belongs(record, recipe)],
            conflicts=[conflict for conflict in content.conflicts if belongs(conflict.records[0], recipe)],
            copies=content.copies if recipe == names[0] else 0,
            missing={run: words for run, words in content.missing.items() if run.recipe not in CHOSEN - {recipe}},
        )
        for recipe in names
    ]


def parts_of(content: Content) -> dict[str, Content]:
    """The content by group: the comparison, then each ablation with the runs of the method it takes apart."""
    methods = {r.result.train.method for r in content.records} | {run.method for run in content.missing}
    methods |= {c.records[0].result.train.method for c in content.conflicts}
    known = [e.group for e in METHODS.values()]
    groups = sorted({_group(method) for method in methods}, key=lambda g: (g != COMPARISON, known.index(g)))
    return {group: _part(content, group) for group in groups}


def _group(method: str) -> str:
    group = METHODS[method].group if method in METHODS else COMPARISON
    return group if group.startswith(ABLATION) else COMPARISON


def _part(content: Content, group: str) -> Content:
    whole = group.removeprefix(ABLATION)

    def belongs(record: RunRecord) -> bool:
        return _group(record.result.train.method) == group or record.result.train.method == whole

    return replace(
        content,
        records=[record for record in content.records if belongs(record)],
        conflicts=[conflict for conflict in content.conflicts if belongs(conflict.records[0])],
        copies=content.copies if group == COMPARISON else 0,
        missing={run: state for run, state in content.missing.items() if _group(run.method) == group},
    )


def _folders(conflicts: Iterable[Conflict]) -> set[str]:
    return {record.result.train.folder for conflict in conflicts for record in conflict.records}


def _place_missing(
    contents: dict[tuple[str, ...], Content], states: Mapping[str, str], recipes: Mapping[str, str]
) -> None:
    """Name each run that is not there under every table of its benchmark, or under an empty one."""
    for folder in sorted(states):
        run = _run_name(folder)._replace(recipe=recipes.get(folder, ""))
        tables = [content for key, content in contents.items() if key[0] == run.benchmark and not content.source]
        if not tables:
            tables = [contents.setdefault((run.benchmark, "", "", "", ""), Content(load_split(run.benchmark)))]
        for content in tables:
            content.missing[run] = states[folder]


def _run_name(folder: str) -> RunName:
    match = re.fullmatch(r"([^/]+)/([^/]+)/fold(\d+)-seed(\d+)-[0-9a-f]+", folder)
    if match is None:
        raise UserError(f"{folder!r} is no run's folder; expected <benchmark>/<method>/fold<k>-seed<s>-<key>")
    return RunName(method_rank(match[2]), match[1], match[2], int(match[3]), int(match[4]), folder)


def method_rank(method: str) -> int:
    """The place of a method in the registry; methods it does not know come after those it does."""
    return list(METHODS).index(method) if method in METHODS else len(METHODS)


def title_of(content: Content, group: str) -> str:
    """Benchmark, part and, where it is one, ablation."""
    part = f", {content.part} part" if content.part not in ("", "val") else ""
    part += ", episodic-binary" if content.episodic else ""
    part += trained_by(content) + elsewhere(content)
    return f"{content.split.name}{part}{'' if group == COMPARISON else f', ablations of {group[len(ABLATION) :]}'}"


def trained_by(content: Content) -> str:
    """What a title says of the recipe that its records are divided by."""
    return f", {content.recipe} recipe" if content.recipe else ""


def elsewhere(content: Content) -> str:
    """What a title says of weights that were not trained for what is scored."""
    return f", weights trained on {content.source}" if content.source else ""


def fold_range(folds: Sequence[int]) -> str:
    """`0-3` where the folds are contiguous, else `0, 2, 3`."""
    if len(folds) > 2 and list(folds) == list(range(folds[0], folds[-1] + 1)):
        return f"{folds[0]}-{folds[-1]}"
    return ", ".join(map(str, folds))

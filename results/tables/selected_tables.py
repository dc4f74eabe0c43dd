"""The tables of a selection of stored records, judged beside all rows of their benchmarks. No torch, no data."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from results.store.folders import DATA_SET, Stored
from results.store.kept_rows import KeptRows
from results.store.selection import Look, Selected, Selection, select
from results.tables import content
from results.tables.calibration import tuned_scores
from results.tables.families import reader
from results.tables.judge import Judge
from results.tables.table import Table
from results.tables.tables import build_tables
from results.tables.views import View
from splits.errors import UserError
from splits.plain_text import plain


def chosen(
    selection: Selection, *, may_be_empty: bool = False, looks: Sequence[Look] = (), jobs: int = 1
) -> tuple[Selected, Selected, KeptRows]:
    """What a selection names, the same of every method, as verdicts are of whole families, and counts of those.

    may_be_empty, jobs: as of `select`, which may raise UserError. looks: at what the selection names.
    """
    kept, read = KeptRows(), partial(select, every_loss=False, jobs=jobs)
    if not selection.methods:
        found = described(read(selection, may_be_empty=may_be_empty, looks=[kept, *looks]), selection)
        return found, found, kept
    found = described(read(selection, may_be_empty=may_be_empty, looks=looks), selection)
    every = read(replace(selection, methods=()), may_be_empty=True, looks=[kept])
    return found, described(every, selection, told=True), kept


def described(found: Selected, selection: Selection, *, told: bool = False) -> Selected:
    """Without the runs of data sets of somebody's own that nothing describes here.

    Each such data set is named on stderr, unless told already. Raises UserError where nothing else is there.
    """
    counts = Counter([*map(_scored_on, found.stored), *(folder.split("/")[0] for folder in found.states)])
    lost = {name: count for name, count in counts.items() if not _is_described(name)}
    if not lost:
        return found
    lines = [_undescribed(name, count, selection.roots) for name, count in sorted(lost.items())]
    stored = tuple(one for one in found.stored if _scored_on(one) not in lost)
    states = {folder: words for folder, words in found.states.items() if folder.split("/")[0] not in lost}
    if not stored and not states and not told:
        raise UserError("; ".join(lines))
    for line in lines if not told else ():
        print(plain(f"left out: {line}"), file=sys.stderr)
    return replace(found, stored=stored, states=states)


def _scored_on(stored: Stored) -> str:
    return stored.record.result.evaluation.benchmark


def _is_described(benchmark: str) -> bool:
    try:
        content.load_split(benchmark)
    except UserError:
        return False
    return True


def _undescribed(name: str, count: int, roots: Sequence[Path]) -> str:
    files = ", ".join(str(root / name / DATA_SET) for root in roots if (root / name).is_dir())
    return (
        f"{count} run{'s' * (count != 1)} of {name}: no benchmark of this name is known, and {files} is missing or "
        "broken; expected there the definition of your data set as `run` wrote it: copy it from where the runs were "
        "made, or name the data set's TOML with --benchmarks"
    )


def selected_tables(found: Selected, every: Selected, kept: KeptRows, view: View) -> list[Table]:
    """The tables of what was `chosen`."""
    return build_tables(
        found.records,
        view=view,
        states=found.states,
        recipes=found.recipes,
        stale=found.stale,
        judge=Judge(reader(every.confusion, kept), every.records),
        tuned=tuned_scores(_without_stale_tuning(found)) if "calibrated" in view.kinds else {},
        locate=found.confusion,
    )


def _without_stale_tuning(found: Selected) -> list[Stored]:
    """Without stale runs of -tune benchmarks, told on stderr: their shift would be one of another method or data."""
    every, tuning = found.stale, {s: content.load_split(s).tuning for s in set(map(_scored_on, found.stored))}
    stale = {_folder(one) for one in found.stored if tuning[_scored_on(one)]} & every
    if stale:
        runs = ", ".join(sorted(stale))
        print(plain(f"left out of tuned shifts: stale, `run --stale` makes them again: {runs}"), file=sys.stderr)
    return [one for one in found.stored if not (tuning[_scored_on(one)] and _folder(one) in stale)]


def _folder(stored: Stored) -> str:
    return stored.record.result.train.folder

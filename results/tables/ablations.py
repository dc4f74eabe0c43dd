"""Tables of ablations: each row beside the whole method, made alike, at the very seeds that both have.

So the difference that a table shows is that of two numbers that it shows, too. Rows with other common seeds have the
whole method once more above them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from results.store.identity import IDENTITY
from results.tables.aggregate import aggregate
from results.tables.views import By

# An ablation is held against the run of the whole method that differs in nothing but the method.
_SAME_BUT_METHOD = ("trained", "clip", "clip_sha256", "recipe", "train_limit", "eval_limit", "precision", "partial")


Rows = Sequence[Mapping[Any, Any]]


def at_common_seeds(frame: pd.DataFrame, runs: pd.DataFrame, folds: Sequence[int], by: By, whole: str) -> pd.DataFrame:
    """The rows of an aggregated frame made again from the seeds that each has in common with its base.

    Those with most common seeds come first, each group led by its base; rows without a base come last, as they are.
    A base is the only row of the whole method that is made alike, and in the same fold. `hiou_delta`: hIoU less the
    base's; `hiou_delta_printed`: of both as printed.
    """
    found = [_again(rows, seeds, runs, folds, by) for rows, seeds in _groups(frame, whole)]
    return pd.concat(found, ignore_index=True) if found else frame.assign(hiou_delta=math.nan)


def left_out(before: pd.DataFrame, after: pd.DataFrame, runs: pd.DataFrame) -> int:
    """How many of the runs have whole seeds and are in no row: a row and its base do not both have their seeds."""
    place = [*IDENTITY, *(["fold"] if "fold" in before else []), "seed"]
    gone = _seeds(before, place[:-1]) - _seeds(after, place[:-1])
    return sum(tuple(run[name] for name in place) in gone for run in runs.to_dict("records"))


def _seeds(frame: pd.DataFrame, names: Sequence[str]) -> set[tuple[Any, ...]]:
    rows = frame.to_dict("records")
    return {(*(row[name] for name in names), int(seed)) for row in rows for seed in row["seed_list"].split()}


def _groups(frame: pd.DataFrame, whole: str) -> Iterator[tuple[Rows, tuple[int, ...]]]:
    """Rows of the same base and seeds, the base first; no seeds: rows that are held against nothing."""
    same = [*_SAME_BUT_METHOD, *(["fold"] if "fold" in frame else [])]
    rows = frame.to_dict("records")
    found: dict[tuple[int, tuple[int, ...]], list[Mapping[Any, Any]]] = {}
    alone = []
    for row in (row for row in rows if row["method"] != whole):
        bases = [i for i, r in enumerate(rows) if r["method"] == whole and all(r[n] == row[n] for n in same)]
        common = _common(rows[bases[0]], row) if len(bases) == 1 else ()
        if common:
            found.setdefault((bases[0], common), []).append(row)
        else:
            alone.append(row)
    for (base, seeds), of in sorted(found.items(), key=lambda item: (-len(item[0][1]), item[0])):
        yield (rows[base], *of), seeds
    used = {base for base, _ in found}
    alone = [row for i, row in enumerate(rows) if row["method"] == whole and i not in used] + alone
    if alone:
        yield alone, ()


def _common(base: Mapping[Any, Any], row: Mapping[Any, Any]) -> tuple[int, ...]:
    return tuple(sorted(base["hiou_of_seed"].keys() & row["hiou_of_seed"].keys()))


def _again(rows: Rows, seeds: tuple[int, ...], runs: pd.DataFrame, folds: Sequence[int], by: By) -> pd.DataFrame:
    """One group's rows from these seeds alone."""
    kept = pd.DataFrame(list(rows)).assign(hiou_delta=math.nan)
    if not seeds:
        return kept
    made = []
    for row in rows:
        own = runs[(runs[list(IDENTITY)] == pd.Series({name: row[name] for name in IDENTITY})).all(axis=1)]
        own = own[own["seed"].isin(seeds) & (own["fold"].isin([row["fold"]]) if by == "fold" else True)]
        again = aggregate(own, lambda _: folds, by=by).to_dict("records")[0]
        made.append({**row, **again, "incomplete": row["incomplete"]})
    frame = pd.DataFrame(made)
    exact, printed = [*frame["hiou"]], [round(100 * value, 1) for value in frame["hiou"]]
    return frame.assign(
        hiou_delta=[math.nan, *(value - exact[0] for value in exact[1:])],
        hiou_delta_printed=[math.nan, *(round((value - printed[0]) / 100, 6) for value in printed[1:])],
    )

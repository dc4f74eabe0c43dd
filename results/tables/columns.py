"""The columns of a comparison table, by the names of `--columns`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from results.tables.aggregate import MEASURED
from results.tables.table import HEADERS, UNDEFINED, Column, Row, mean_and_spread
from results.tables.views import ColumnName

_METRICS: dict[ColumnName, str] = {
    "miou": "miou",
    "pacc": "pacc",
    "seen": "miou_seen",
    "unseen": "miou_unseen",
    "hiou": "hiou",
    "h-of-means": "hiou_of_means",
    "no-shift": "hiou_unshifted",
    "oracle-shift": "hiou_best",
}
DELTA = "hiou_delta"  # what an ablation has above the whole method
JUDGED = ("miou_seen", "miou_unseen", "hiou")  # metrics with half-widths and verdicts


def name_columns(frame: pd.DataFrame) -> list[Column]:
    """The row's name, and its recipe where one is not the paper's."""
    name = Column.named()
    papers = frame["recipe_name"].isin(["paper", UNDEFINED]).all()
    return [name] if papers else [name, Column.text("recipe", "recipe_name")]


def value_columns(names: Sequence[ColumnName], *, open_vocabulary: bool = False) -> list[Column]:
    """What stands under these names. open_vocabulary: every class is seen, and mIoU has the half-width of mIoU(S)."""
    return [_miou() if open_vocabulary and name == "miou" else _column(name) for name in names]


def _miou() -> Column:
    return Column.percent(HEADERS["miou"], "miou", _miou_cell, metric="miou_seen")


def _miou_cell(row: Row) -> str:
    return mean_and_spread(row["miou"], row.get("miou_seen_half", math.nan))


def _column(name: ColumnName) -> Column:
    if name in _METRICS:
        metric = _METRICS[name]
        cell = partial(_mean, key=metric)
        return Column.percent(HEADERS[metric], metric, cell, metric=metric if metric in JUDGED else "")
    return _OTHERS[name]()


def _mean(row: Row, key: str) -> str:
    return mean_and_spread(row[key], row.get(f"{key}_half", math.nan))


def _sd(row: Row) -> str:
    if math.isnan(row["hiou_sd"]):
        return UNDEFINED
    alike = not any(row[f"{metric}_sd"] > 0 for metric in MEASURED)  # hIoU alone is 0 of every collapsed seed, too
    return "deterministic" if alike else f"{100 * row['hiou_sd']:.1f}"


def _rank(row: Row) -> str:
    low, high = row.get("rank_low", math.nan), row.get("rank_high", math.nan)
    if math.isnan(low):
        return UNDEFINED
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"


def _first(row: Row) -> str:
    share = row.get("first", math.nan)
    return UNDEFINED if math.isnan(share) else f"{100 * share:.0f} %"


def delta_column() -> Column:
    """What an ablation's hIoU is above the whole method's: the difference of the two numbers as printed."""
    return Column.percent("Δ hIoU", DELTA, _delta, metric=DELTA)


def _delta(row: Row) -> str:
    delta, half = row.get("hiou_delta_printed", math.nan), row.get("hiou_delta_half", math.nan)
    if math.isnan(delta):
        return UNDEFINED
    return f"{100 * delta:+.1f}" if math.isnan(half) else f"{100 * delta:+.1f} ± {100 * half:.1f}"


_OTHERS: dict[ColumnName, Callable[[], Column]] = {
    "sd": lambda: Column("sd over seeds", _sd),
    "rank": lambda: Column("rank", _rank),
    "first": lambda: Column("first", _first),
    "shift": lambda: Column.text("own shift", "own_shift"),
    "seeds": lambda: Column.figure("seeds", "seeds", ".0f"),
}

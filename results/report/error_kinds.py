"""Which errors a method makes: by kind, near boundaries of the truth, and over all shifts of the seen scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.scoring.metrics import REACH
from results.report.curves import ERRORS, Reading, mean_near
from results.tables.classes_and_costs import Variants, partial_names
from results.tables.stale_rows import stale_names, stale_notes
from results.tables.table import PARTIAL_NOTE, Column, Table

NEAR = f"within {REACH} px of a boundary"
RATES = ("error rate there", "error rate elsewhere")


def error_table(
    variants: Variants, readings: Mapping[int, Reading], title: str, stale: frozenset[str] = frozenset()
) -> Table:
    """A row for each method. readings: what the runs' matrices say, by the record's id(). stale: as elsewhere."""
    rows, old, parts = [], stale_names(variants, stale), partial_names(variants)
    for name, runs in variants.items():
        own = [readings[id(run)] for run in runs]
        shares = np.mean([reading.errors for reading in own], axis=0)
        area = float(np.mean([reading.sweep.area for reading in own]))
        kinds = dict(zip(ERRORS, shares, strict=True))
        marks = {"partial": name in parts, "stale": name in old}
        rows.append({"name": name, **kinds, **_near(own, float(shares.sum())), "area": area, "runs": len(runs)} | marks)
    columns = [Column.named()]
    columns += [Column.figure(key, key, ".1f", scale=100) for key in (*ERRORS, NEAR, *RATES)]
    columns.append(Column.figure("area under S-U", "area", ".4f"))
    notes = [
        "Percent of the labelled pixels, the true class named first, at the method's own shift; area: under U "
        "against S from all-seen to all-unseen, both as fractions (where the curve folds back, under its highest U at "
        "each S); – where a run's shifts do not reach both ends: imported without scores, without "
        "unseen classes, or scored before these were counted. Means over all runs.",
        f"{NEAR[0].upper()}{NEAR[1:]}: the part of these four where a pixel with another label lies at most {REACH} "
        "pixels away (Euclidean, at the truth's own size), ignored pixels being one label more. The error rates are "
        "shares of the pixels there and of the others: alike where whole objects are mistaken, far apart where their "
        f"outlines are.{_pixels_near(rows)}",
        *([PARTIAL_NOTE] if parts else []),
        *stale_notes([run for runs in variants.values() for run in runs], stale),
    ]
    return Table(f"{title}: errors and calibration", pd.DataFrame(rows), tuple(columns), tuple(notes), None, "errors")


def _near(own: Sequence[Reading], wrong: float) -> dict[str, Any]:
    """Errors near boundaries and the two rates; undefined where a run was not measured, or has no such pixel."""
    near = mean_near(own)
    if near is None:
        return dict.fromkeys((NEAR, *RATES, "pixels_near"), math.nan)
    there = float(near.errors.sum())
    rates = (_ratio(there, near.pixels), _ratio(wrong - there, 1 - near.pixels))
    return {NEAR: there, **dict(zip(RATES, rates, strict=True)), "pixels_near": near.pixels}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _pixels_near(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many pixels lie near boundaries, and which rows do not know."""
    shares = sorted(
        {f"{100 * row['pixels_near']:.1f}" for row in rows if not math.isnan(row["pixels_near"])}, key=float
    )
    words = (
        f" Near boundaries lie {' to '.join(dict.fromkeys((shares[0], shares[-1])))} % of the labelled pixels."
        if shares
        else ""
    )
    unknown = [str(row["name"]) for row in rows if math.isnan(row["pixels_near"])]
    if not unknown:
        return words
    return f"{words} Not measured in all runs of {', '.join(unknown)}: they were scored before this was counted."

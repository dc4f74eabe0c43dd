"""What a reader wants to know first of a benchmark: which method is best, by how much, whether that is established.

Every sentence comes from the family of verdicts and the table of the same rows, so that no answer can differ from what
stands below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from results.report.curves import ERRORS, Reading
from results.store.record import RunRecord
from results.tables.classes_and_costs import Variants, class_ious
from results.tables.table import Table
from results.tables.verdicts import APART, HIGHER, Family

WORST = 5  # classes named
HOUR = 3600


@dataclass(frozen=True)
class Beside:
    """One row beside the best one, in hIoU."""

    name: str
    difference: float  # fractions
    half: float
    established: bool | None  # None: not tested


def best_of(table: Table) -> str:
    """The row with the highest hIoU among those of whole data and most seeds; empty where none is complete."""
    able = [row for row in table.rows() if not row["partial"] and not math.isnan(row.get("hiou", math.nan))]
    most = max((row["seeds"] for row in able), default=0)
    able = [row for row in able if row["seeds"] == most]
    return str(max(able, key=lambda row: row["hiou"])["name"]) if able else ""


def beside_best(family: Family | None, best: str) -> list[Beside]:
    """Every other row of the family beside the best, the nearest first; those that are no pair left out."""
    if family is None or not best:
        return []
    found = []
    for row in family.rows:
        verdict = family.pair(row.name, best, "hiou") if row.name != best else None
        if verdict is not None and not math.isnan(verdict.found.by.value):
            by = verdict.found.by
            tested = by.tested and not verdict.found.partial
            found.append(Beside(row.name, by.value, by.half(), verdict.separated if tested else None))
    return sorted(found, key=lambda of: -of.difference)


def answers(table: Table, family: Family | None, variants: Variants, readings: Mapping[int, Reading]) -> list[str]:
    """The sentences, in the order in which they are asked for."""
    if "hiou" not in table.frame:
        return ["Items of one class each have no hIoU: the table below has mIoU and FB-IoU."]
    best = best_of(table)
    if not best:
        return [f"{table.title}: nothing complete yet."]
    (row,) = [row for row in table.rows() if row["name"] == best]
    half = row.get("hiou_half", math.nan)
    spread = "" if math.isnan(half) else f" ± {100 * half:.1f}"
    lines = [f"Highest hIoU: {best}, {100 * row['hiou']:.1f}{spread} ({_seeds(row['seeds'])})."]
    others = beside_best(family, best)
    lines += _established(others, best, family)
    runs = variants[best]
    lines.append(f"Cost of {best}: {cost(runs)}.")
    lines += _worst(best, runs)
    lines += _errors(best, [readings[id(run)] for run in runs if id(run) in readings])
    return lines


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _established(others: Sequence[Beside], best: str, family: Family | None) -> Iterable[str]:
    if not others or family is None:
        yield "No other row to compare it with."
        return
    near = others[0]
    verdict = family.verdict(best, near.name, "hiou")
    p = "" if math.isnan(verdict.p) else f", p = {verdict.p:.3f} after Holm's correction over this table's pairs"
    word = {HIGHER: "established", APART: "not established"}.get(verdict.words, verdict.words)
    yield f"Above the next, {near.name}, by {-100 * near.difference:.1f} ± {100 * near.half:.1f} points: {word}{p}."
    sure = [of.name for of in others if of.established]
    open_ = [of.name for of in others if of.established is False]
    untested = [of.name for of in others if of.established is None]
    if sure:
        yield f"Established to be above: {', '.join(sure)}."
    if open_:
        yield f"Not separated from: {', '.join(open_)}."
    if untested:
        yield f"Not tested (one seed in common, or partial): {', '.join(untested)}."
    share = family.first["hiou"].get(best)
    if share is not None:
        yield f"Probability that it is first in this table: {100 * share:.0f} %."


def cost(runs: Sequence[RunRecord]) -> str:
    """Hours of training and scoring of these runs, by device."""
    hours: dict[str, float] = {}
    for run in runs:
        phase = run.provenance.scoring
        device = phase.device if phase.device != "cpu" else (phase.processor or "CPU")
        hours[device] = hours.get(device, 0.0) + (run.costs.train_seconds + run.costs.eval_seconds) / HOUR
    told = "; ".join(f"{of:.2f} hours on {device}" for device, of in sorted(hours.items()))
    return f"{told}, for {len(runs)} run{'s' * (len(runs) != 1)}"


def _worst(best: str, runs: Sequence[RunRecord]) -> Iterable[str]:
    unseen = {name: fmean(values) for (name, seen), values in class_ious(runs).items() if not seen and values}
    worst = sorted(unseen, key=lambda name: (unseen[name], name))[:WORST]
    if worst:
        told = ", ".join(f"{name} {100 * unseen[name]:.1f}" for name in worst)
        yield f"Its worst unseen classes (IoU, %): {told}."


def _errors(best: str, readings: Sequence[Reading]) -> Iterable[str]:
    if not readings:
        return
    shares = np.mean([reading.errors for reading in readings], axis=0)
    if shares.sum() > 0:
        most = int(np.argmax(shares))
        yield (
            f"Where it fails most: {ERRORS[most]}, {100 * shares[most] / shares.sum():.0f} % of its wrong pixels "
            f"({100 * shares.sum():.1f} % of labelled pixels are wrong)."
        )

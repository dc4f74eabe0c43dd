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
from results.tables.compute import phases
from results.tables.content import Content
from results.tables.sentences import p_told
from results.tables.table import HEADERS, PARTIAL, Row, Table
from results.tables.verdicts import APART, EQUIVALENT, FEW_IMAGES, HIGHER, UNDEFINED, Family, Verdict

WORST = 5  # classes named


@dataclass(frozen=True)
class Beside:
    """One row beside the best one."""

    name: str
    verdict: Verdict  # what it is beside the best

    @property
    def points(self) -> tuple[float, float]:
        """Difference and half-width."""
        by = self.verdict.found.by
        return 100 * by.value, 100 * by.half()

    @property
    def established(self) -> bool | None:
        """None: not tested."""
        return self.verdict.separated if self.verdict.found.by.tested else None


def asked_of(content: Content) -> tuple[str, str]:
    """What a benchmark's rows are ranked by, and its name: where no class is unseen, mIoU is that over seen classes."""
    return ("miou_seen", HEADERS["miou"]) if content.split.open_vocabulary else ("hiou", HEADERS["hiou"])


def best_of(table: Table, metric: str) -> str:
    """The row with the highest mean among those of whole data and most seeds; empty where none is complete."""
    if "fold" in table.frame:
        return ""  # each fold stands for itself
    able = _able(table, metric)
    most = max((row["seeds"] for row in able), default=0)
    able = [row for row in able if row["seeds"] == most]
    return str(max(able, key=lambda row: row[metric])["name"]) if able else ""


def _why_none(table: Table, metric: str, header: str) -> str:
    """Why no row is the best."""
    if "fold" in table.frame:
        return "each fold stands for itself, below"
    whole = [row for row in table.rows() if row["seeds"]]
    if any(not math.isnan(row.get(metric, math.nan)) for row in whole):
        return f"each row with all folds is marked {PARTIAL}, of trial runs or part of the data, so none is the best"
    if whole:
        return f"{header} is undefined, as no class of a kind is in the scored images"
    return f"no row has {header} over all folds yet"


def _able(table: Table, metric: str) -> list[Row]:
    return [row for row in table.rows() if not row["partial"] and not math.isnan(row.get(metric, math.nan))]


def beside_best(table: Table, family: Family | None, best: str, metric: str) -> list[Beside]:
    """Every other row shown that competes beside the best, the highest first; those that are no pair left out."""
    if family is None or not best:
        return []
    shown, pairs = {*table.frame["name"]}, family.beside(best, metric).items()  # the family is of all that is stored
    found = [Beside(name, verdict.reversed) for name, verdict in pairs if name in shown]
    return sorted((of for of in found if not math.isnan(of.points[0])), key=lambda of: -of.points[0])


def answers(
    table: Table,
    family: Family | None,
    variants: Variants,
    readings: Mapping[int, Reading],
    asked: tuple[str, str],
) -> list[str]:
    """The sentences, in the order in which they are asked for. asked: a metric and its name (`asked_of`)."""
    metric, header = asked
    if metric not in table.frame:
        return ["Items of one class each have no hIoU: the table below has mIoU and FB-IoU."]
    best = best_of(table, metric)
    if not best:
        return [f"{table.title.partition(':')[0]}: {_why_none(table, metric, header)}."]
    (row,) = [row for row in table.rows() if row["name"] == best]
    half = row.get(f"{metric}_half", math.nan)
    spread = "" if math.isnan(half) else f" ± {100 * half:.1f}"
    fewer = [other for other in _able(table, metric) if other[metric] > row[metric]]
    of_most = " of the rows with most seeds" if fewer else ""
    lines = [f"Highest {header}{of_most}: {best}, {100 * row[metric]:.1f}{spread} ({_seeds(row['seeds'])})."]
    if fewer:
        told = ", ".join(f"{other['name']} {100 * other[metric]:.1f} ({_seeds(other['seeds'])})" for other in fewer)
        lines.append(f"Higher, with fewer seeds: {told}.")
    of = (
        "this table"
        if {*table.frame["name"]}.issuperset(family.competing(metric) if family else ())
        else "all stored rows"
    )
    lines += _established(beside_best(table, family, best, metric), best, family, metric, of)
    runs = variants[best]
    lines.append(f"Cost of {best}: {cost(runs)}.")
    lines += _worst(runs, seen=metric == "miou_seen")
    lines += _errors(best, [readings[id(run)] for run in runs if id(run) in readings])
    return lines


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _established(others: Sequence[Beside], best: str, family: Family | None, metric: str, rows: str) -> Iterable[str]:
    """rows: what the family is of, in words."""
    if not others or family is None:
        yield "No other row to compare it with."
        return
    below, above = ([of for of in others if (of.points[0] > 0) is higher] for higher in (False, True))
    if below:
        points, half = below[0].points
        verdict = below[0].verdict.reversed
        p = f", {told} after Holm's correction over the pairs of {rows}" if (told := p_told(verdict)) else ""
        word = "not established" if verdict.words == APART else verdict.words.replace(HIGHER, "established", 1)
        spread = "" if math.isnan(half) else f" ± {half:.1f}"
        yield f"Above the next, {below[0].name}, by {abs(points):.1f}{spread} points: {word}{p}."
    groups = {
        "Established to be above": [of for of in below if of.established],
        "Established to be below, at the seeds in common": [of for of in above if of.established],
        "Equivalent to": [of for of in others if of.verdict.words.startswith(EQUIVALENT)],
        "Not separated from": [of for of in others if of.verdict.words == APART],
        "Not tested (one seed in common)": [of for of in others if of.established is None],
        f"Undefined ({FEW_IMAGES})": [of for of in others if of.verdict.words == UNDEFINED],
    }
    yield from (f"{words}: {', '.join(of.name for of in group)}." for words, group in groups.items() if group)
    share = family.first[metric].get(best)
    if share is not None:
        single = len(family.first[metric]) < len(family.competing(metric))
        among = f"{rows} (rows alone whose error over images and seeds is known)" if single else rows
        yield f"Probability that it is first of {among}: {100 * share:.0f} %."


def cost(runs: Sequence[RunRecord]) -> str:
    """Hours of training and scoring of these runs over all attempts, each phase on its own device.

    Of a GPU: hours times the GPUs that were held; of a CPU: hours of its cores.
    """
    hours: dict[tuple[str, str], float] = {}
    unknown = 0
    for phase in phases(runs):
        if phase["without_time"]:
            unknown += 1
            continue
        on_gpu = phase["on_gpu"]
        at = phase["device"], "GPU hours" if on_gpu else "CPU hours"
        hours[at] = hours.get(at, 0.0) + phase["device_hours" if on_gpu else "cpu_hours"]
    told = "; ".join(f"{of:.2f} {unit} on {device}" for (device, unit), of in sorted(hours.items()))
    told = told or "not known"
    lacking = f" ({unknown} trainings or scorings without a stored time are left out)" if unknown else ""
    return f"{told}, for {len(runs)} run{'s' * (len(runs) != 1)}{lacking}"


def _worst(runs: Sequence[RunRecord], *, seen: bool) -> Iterable[str]:
    """seen: those where no class is unseen."""
    means = {name: fmean(values) for (name, was), values in class_ious(runs).items() if was is seen and values}
    worst = sorted(means, key=lambda name: (means[name], name))[:WORST]
    if worst:
        told = ", ".join(f"{name} {100 * means[name]:.1f}" for name in worst)
        yield f"Its worst {'' if seen else 'unseen '}classes (IoU, %): {told}."


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

"""From records to means: one tidy frame, and the aggregation over folds and seeds that every table rests on.

Over folds: the mean of the folds' values, fold by fold, each fold exactly once (so the mean of hIoU); beside it the
harmonic mean of mean S and mean U, since both are found in papers. Over seeds: the fold mean of each seed first, then
mean and sample standard deviation over the seeds that have every fold. Other seeds are listed, never averaged. How
sure a mean is, `results.tables.verdicts` says. Nothing is rounded here, and no result depends on the records' order.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import pandas as pd

from benchmarks.scoring.metrics import harmonic
from results.store.identity import IDENTITY, row_key
from results.store.record import RunRecord
from results.tables.views import By
from splits.errors import UserError

MEASURED = ("pacc", "miou_seen", "miou_unseen", "hiou", "hiou_unshifted", "hiou_best", "miou")
METRICS = (*MEASURED, "hiou_of_means")


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and from two seeds on their `sd` (ddof 1); else NaN."""

    mean: float = math.nan
    sd: float = math.nan


@dataclass(frozen=True)
class Means:
    """What the runs of one table row come to."""

    estimates: dict[str, Estimate]  # by metric
    complete: tuple[int, ...]  # the seeds that are averaged
    hiou: dict[int, float]  # the fold mean of each of them
    incomplete: dict[int, tuple[int, ...]]  # seed -> the folds it has, fewer than all


def tidy(records: Iterable[RunRecord], *, stale: frozenset[str] = frozenset()) -> pd.DataFrame:
    """One row per record with every field that tables need; metrics are fractions, NaN where undefined.

    stale: folders of the runs that are to be marked so.
    """
    rows = [(*row_key(record), *run_values(record)) for record in records]
    frame = pd.DataFrame(rows, columns=[*IDENTITY, *RUN_FIELDS]).astype(dict.fromkeys(MEASURED, float))
    frame["stale"] = frame["run"].isin(stale)
    return frame.sort_values([*IDENTITY, "fold", "seed", "run", "evaluation"], kind="stable", ignore_index=True)


RUN_FIELDS = {  # of one run: column -> where it stands in a record
    "fold": "result.evaluation.fold",
    "seed": "result.train.seed",
    "run": "result.train.folder",
    "evaluation": "result.evaluation.key",
    "protocol_hash": "result.protocol_hash",
    "setting": "result.train.side.setting",
    "background": "result.evaluation.side.background",
    "pacc": "result.own.pacc",
    "miou_seen": "result.own.miou_seen",
    "miou_unseen": "result.own.miou_unseen",
    "hiou": "result.own.hiou",
    "miou": "result.miou",
    "hiou_unshifted": "result.unshifted.hiou",
    "hiou_best": "result.best.hiou",
    "own_shift": "result.own.shift",
    "best_shift": "result.best.shift",
    "images": "result.images",
    "labelled_pixels": "result.labelled_pixels",
    "ignored_pixels": "result.ignored_pixels",
    "weights_sha256": "result.weights_sha256",
    "parameters_trainable": "costs.parameters_trainable",
    "parameters_total": "costs.parameters_total",
    "train_seconds": "costs.train_seconds",
    "eval_seconds": "costs.eval_seconds",
    "peak_memory_mib": "costs.peak_memory_mib",
    "device": "provenance.scoring.device",
    "commit": "provenance.scoring.commit",
}
run_values = attrgetter(*RUN_FIELDS.values())


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and sd (ddof 1) of one value per seed; all NaN where there is no value or one is NaN.

    >>> estimate([0.25, 0.75]).mean
    0.5
    """
    values, n = [float(value) for value in values], len(values)
    if not n or any(math.isnan(value) for value in values):
        return Estimate()
    mean = statistics.fmean(values)  # exactly rounded sums: the order of the values cannot matter
    return Estimate(mean, statistics.stdev(values)) if n > 1 else Estimate(mean)


def fold_mean(runs: Sequence[Mapping[Any, Any]]) -> dict[str, float]:
    """The mean of one seed's folds (tidy rows), by metric; NaN where a fold's value is undefined."""
    means = {metric: statistics.fmean([run[metric] for run in runs]) for metric in MEASURED}
    return {**means, "hiou_of_means": float(harmonic(means["miou_seen"], means["miou_unseen"]))}


def mean_over(runs: pd.DataFrame, folds: Sequence[int]) -> Means:
    """Aggregate the runs of one table row (tidy rows) over these folds, then over seeds.

    Raises UserError where the runs are not of one protocol family, not of one method and setting, of other folds than
    these, or where a seed has a fold twice: no mean goes over such runs.
    """
    _refuse_mixtures(runs, folds)
    by_seed: dict[int, dict[int, Mapping[Any, Any]]] = {int(seed): {} for seed in sorted(set(runs["seed"]))}
    for run in runs[["seed", "fold", *MEASURED]].to_dict("records"):
        by_seed[run["seed"]][run["fold"]] = run
    complete = tuple(seed for seed, rows in by_seed.items() if len(rows) == len(folds))
    means = [fold_mean(list(by_seed[seed].values())) for seed in complete]
    return Means(
        estimates={metric: estimate([m[metric] for m in means]) for metric in METRICS},
        complete=complete,
        hiou=dict(zip(complete, (m["hiou"] for m in means), strict=True)),
        incomplete={s: tuple(sorted(r)) for s, r in by_seed.items() if s not in complete},
    )


def _refuse_mixtures(runs: pd.DataFrame, folds: Sequence[int]) -> None:
    families = sorted(set(runs["family_hash"]))
    if len(families) > 1:
        raise UserError(
            f"a mean needs one protocol, these runs have {len(families)} ({', '.join(f[:8] for f in families)}): "
            "make one table for each"
        )
    if mixed := [column for column in IDENTITY if runs[column].nunique() > 1]:
        raise UserError(f"a mean needs runs that differ in fold and seed alone, these differ in {', '.join(mixed)}")
    if strange := sorted(set(runs["fold"]) - set(folds)):
        raise UserError(f"runs of fold {', '.join(map(str, strange))}, but the folds are {', '.join(map(str, folds))}")
    twice = runs[runs.duplicated(["fold", "seed"])]
    if len(twice):
        names = ", ".join(f"fold {f} seed {s}" for f, s in zip(twice["fold"], twice["seed"], strict=True))
        raise UserError(f"a mean needs each fold once per seed, there are several runs of {names}")


def aggregate(runs: pd.DataFrame, folds: Callable[[str], Sequence[int]], *, by: By = "method") -> pd.DataFrame:
    """One row per variant (or per variant and fold): identity, mean and sd of each metric, seeds.

    runs: tidy, each run once (`settle`). folds: the fold numbers of a benchmark. With `by="fold"` nothing is averaged
    over folds, so a seed counts for every fold it has; `incomplete` tells which seeds lack folds in either form.
    """
    rows = []
    for _, group in runs.groupby(list(IDENTITY), sort=True, dropna=False):
        shared, every = {name: group[name].iloc[0] for name in IDENTITY}, tuple(folds(group["benchmark"].iloc[0]))
        whole = mean_over(group, every)
        parts = [(shared, group, whole)]
        if by == "fold":
            each = [(int(fold), group[group["fold"] == fold]) for fold in sorted(set(group["fold"]))]
            parts = [({**shared, "fold": fold}, part, mean_over(part, [fold])) for fold, part in each]
        for row, part, means in parts:
            for metric, value in means.estimates.items():
                row |= {metric: value.mean, f"{metric}_sd": value.sd}
            rows.append(row | _accompanying(part, means) | {"incomplete": whole.incomplete})
    estimates = [f"{metric}{suffix}" for metric in METRICS for suffix in ("", "_sd")]
    return pd.DataFrame(rows, columns=[*IDENTITY, *(["fold"] if by == "fold" else []), *estimates, *_ACCOMPANYING])


_ACCOMPANYING = ("seeds", "seed_list", "hiou_of_seed", "runs", "own_shift", "stale", "incomplete")


def _accompanying(runs: pd.DataFrame, means: Means) -> dict[str, Any]:
    return {
        "seeds": len(means.complete),
        "seed_list": " ".join(map(str, means.complete)),
        "hiou_of_seed": means.hiou,
        "runs": len(runs),
        "own_shift": " / ".join(f"{shift:g}" for shift in sorted(set(runs["own_shift"]))),
        "stale": bool(runs["stale"].any()),
    }

"""Two methods class by class: the difference in IoU of each class as unseen and as seen, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from results.tables.bootstrap import class_draws, spread
from results.tables.inference import Uncertain
from results.tables.statistics import Counts, Runs, ious
from results.tables.verdicts import standard_error

Role = tuple[int, bool]  # index of a class, was it seen


def class_differences(a: Runs, b: Runs, folds: Sequence[int], seeds: Sequence[int]) -> Mapping[Role, Uncertain]:
    """A - B in the IoU of each class: the mean over the folds in which it has that role, then over seeds.

    A fold in which either run's IoU is undefined is left out; a class undefined in every one of a seed is left out.
    """
    values: dict[Role, list[float]] = {}
    sums: dict[Role, Any] = {}
    for seed in seeds:
        found: dict[Role, list[tuple[float, Any]]] = {}
        for fold in folds:
            one, other = a[fold, seed], b[fold, seed]
            draws = class_draws(one) - class_draws(other)
            for index, point in enumerate(_point(one) - _point(other)):
                if not math.isnan(point):
                    found.setdefault((index, bool(one.seen[index])), []).append((float(point), draws[index]))
        for role, of in found.items():
            values.setdefault(role, []).append(math.fsum(point for point, _ in of) / len(of))
            sums[role] = sums.get(role, 0.0) + np.mean([draws for _, draws in of], axis=0)
    every = {role: of for role, of in values.items() if len(of) == len(seeds)}
    images = min(len(a[fold, seed].hit) for fold in folds for seed in seeds)
    return {role: _uncertain(every[role], sums[role] / len(seeds), images) for role in sorted(every)}


def _point(run: Counts) -> Any:
    return ious(run, np.ones((1, len(run.hit))))[0]


def _uncertain(values: Sequence[float], draws: Any, images: int) -> Uncertain:
    error, simulated = spread(draws, images)
    value = math.fsum(values) / len(values)
    return Uncertain(value, error, standard_error(values), len(values), simulated=simulated)

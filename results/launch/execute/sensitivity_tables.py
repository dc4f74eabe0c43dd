"""From the runs of drawn settings, as they stand, to the tables of `sensitivity`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.launch.execute.follow import Rows
from results.launch.plan.request import Run
from results.launch.plan.sensitivity import Variation
from results.launch.run.status import Status
from results.tables.spread import Point, Varied, tables_of
from results.tables.table import Table


def variation_tables(variations: Sequence[Variation], rows: Rows, root: Path, seed: int) -> list[Table]:
    """The tables of each benchmark and part. root: where the records lie; seed: of the draws."""
    statuses, tables = dict(rows), []
    for place in dict.fromkeys((one.benchmark, one.part) for one in variations):
        here = [one for one in variations if (one.benchmark, one.part) == place]
        tables += tables_of([_read(one, root, statuses, seed) for one in here])
    return tables


def _read(variation: Variation, root: Path, statuses: dict[Run, Status], seed: int) -> Varied:
    def point(values: dict[str, Any], runs: Sequence[Run]) -> Point:
        there = [run for run in runs if statuses[run].has_record]
        records = [record for run in there if (record := run.folder(root).read_record(run.evaluation))]
        wanting = tuple(statuses[run].words for run in runs if run not in there)
        return Point(values, tuple(records), wanting, any(statuses[run].state == "stale" for run in runs))

    return Varied(
        name=variation.method,
        benchmark=variation.benchmark,
        part=variation.part,
        folds=variation.folds,
        seed=seed,
        default=point({}, variation.default),
        points=tuple(point(values, runs) for values, runs in variation.settings),
        ranges=variation.ranges,
    )

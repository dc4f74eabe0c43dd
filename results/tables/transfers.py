"""What tables say of weights scored where they were not trained: classes that are known to them, and new ones.

Seen and unseen are those of the fold that is scored. Beside these, the classes are parted by what was labelled in the
training of the weights, whatever the fold says: mIoU over either group is at the method's own shift.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from statistics import fmean

import pandas as pd

from results.store.identity import by_identity, key_of
from results.store.record import Result, RunRecord
from results.tables.aggregate import estimate
from results.tables.table import SD_NOTE, Column, mean_and_sd

GROUPS = {"miou_labelled": "mIoU(labelled)", "miou_new": "mIoU(new)"}


def group_mious(result: Result) -> dict[str, float]:
    """mIoU over the classes that were labelled in the training, and over those that were not; NaN without any."""
    known, classes = set(result.evaluation.labelled or ()), set(result.evaluation.side.classes)
    defined = [(row.name in known, row.iou) for row in result.classes if row.name in classes and row.iou is not None]
    return {
        name: fmean(values) if (values := [iou for is_known, iou in defined if is_known == wanted]) else math.nan
        for name, wanted in (("miou_labelled", True), ("miou_new", False))
    }


def with_groups(frame: pd.DataFrame, records: Sequence[RunRecord]) -> pd.DataFrame:
    """A frame aggregated fold by fold with both means, over seeds."""
    runs, rows = by_identity(records), []
    for row in frame.to_dict("records"):
        of = [group_mious(run.result) for run in runs[key_of(row)] if run.result.evaluation.fold == row["fold"]]
        means = {name: estimate([seed[name] for seed in of]) for name in GROUPS}
        rows.append({f"{n}{end}": v for n, e in means.items() for end, v in (("", e.mean), ("_sd", e.sd))})
    names = [f"{name}{suffix}" for name in GROUPS for suffix in ("", "_sd")]
    return pd.concat([frame, pd.DataFrame(rows, columns=names, index=frame.index)], axis=1)


def group_columns() -> list[Column]:
    """Both means as people see them."""
    return [Column.percent(header, name, partial(mean_and_sd, key=name)) for name, header in GROUPS.items()]


def transferred(records: Iterable[RunRecord]) -> Iterator[str]:
    """What must be known of a table of weights that were trained elsewhere, and which classes they know."""
    known: dict[str, Result] = {r.result.trained_on: r.result for r in records if r.result.evaluation.transferred}
    if not known:
        return
    yield (
        "Transfer: S and U are by the fold that is scored; mIoU(labelled) and mIoU(new) go over the classes that were "
        "labelled in the training of the weights, and over the others. The own shift is taken off the labelled ones. "
        f"Of these two {SD_NOTE}."
    )
    for trained, result in sorted(known.items()):
        labelled, classes = result.evaluation.labelled or (), len(result.evaluation.side.classes)
        names = f", {', '.join(labelled)}" if labelled else ""
        how = ", as was said of weights without a card" if result.contamination == "unknown" else ""
        yield f"Labelled in the training on {trained}{how}: {len(labelled)} of {classes} classes{names}."

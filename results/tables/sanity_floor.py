"""The sanity floor: what is trained must name its seen classes better than a constant does.

The floor needs no run of its own: it is the best that one seen class, said of every pixel, would have scored on the
same pixels. A trained method below it has learned nothing that reaches the scores; nearly always something is wired
wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from methods.registry import METHODS
from results.store.record import Result, RunRecord

CAUSES = (
    "a label offset (does class 1 stand where class 0 is expected?), another order of the classes, masks drawn in "
    "colours (a palette) and read as ids, or weights of another vocabulary"
)


def constant_miou(result: Result) -> float | None:
    """mIoU over seen classes of the most frequent seen class said everywhere; None where no seen class is there.

    Its IoU is its share of the labelled pixels, every other seen class that is there has 0, one that is not there is
    not averaged.
    """
    there = [row.tp + row.fn for row in result.classes if row.seen and row.tp + row.fn]
    if not there or not result.labelled_pixels:
        return None
    return max(there) / result.labelled_pixels / len(there)


def below_floor(result: Result) -> bool:
    """Is this a whole training, or imported weights, that scores worse on seen classes than the constant?

    Trial runs (`limit`) are passed over: some steps of training need not have reached the floor. So are weights scored
    elsewhere, which were not trained on the classes that are seen there.
    """
    train, floor = result.train, constant_miou(result)
    trained = (train.recipe.iterations > 0 or bool(train.weights)) and (
        train.method not in METHODS or METHODS[train.method].trained
    )
    if (
        not trained
        or train.limit is not None
        or result.evaluation.transferred
        or floor is None
        or result.own.miou_seen is None
    ):
        return False
    return result.own.miou_seen < floor


def warnings_of(records: Iterable[RunRecord]) -> Iterator[str]:
    """One line for each record below its floor, with the likely causes."""
    for record in records:
        result = record.result
        if below_floor(result):
            train, floor = result.train, constant_miou(result)
            assert floor is not None
            assert result.own.miou_seen is not None
            yield (
                f"Below the floor: {result.label} fold {train.fold} seed {train.seed} has mIoU(S) "
                f"{100 * result.own.miou_seen:.2f}, one seen class said everywhere would have {100 * floor:.2f}; "
                f"look for {CAUSES}."
            )

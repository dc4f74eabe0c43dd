"""The sanity floor: what is trained and scores below one constant is told, with the likely causes."""

from __future__ import annotations

import pytest

from results.store.record import ClassCounts, RunRecord
from results.tables.sanity_floor import below_floor, constant_miou, warnings_of
from results.tables.tables import build_tables
from tests.results import factory


def scored(seen: float, counts: dict[str, int], **changes) -> RunRecord:
    """A record whose classes have so many pixels in truth; a fold 0 hides `ant`."""
    made = factory.record(seen=seen, **changes)
    classes = tuple(
        ClassCounts(
            name=name, seen=name != "ant", tp=counts[name] // 2, fp=0, fn=counts[name] - counts[name] // 2, iou=0
        )
        for name in factory.CLASSES
    )
    numbers = {"classes": classes, "labelled_pixels": sum(counts.values())}
    return made.model_copy(update={"result": made.result.model_copy(update=numbers)})


COUNTS = {"ant": 400, "bee": 500, "cow": 100, "dog": 0}


def test_the_constant_by_hand() -> None:
    """Fails when the floor is not share / (seen classes that are there): 500 of 1000 pixels, over bee and cow."""
    assert constant_miou(scored(0.5, COUNTS).result) == 0.5 / 2
    assert constant_miou(scored(0.5, {"ant": 9, "bee": 0, "cow": 0, "dog": 0}).result) is None


def test_equal_to_metrics_of_a_constant() -> None:
    """Fails when the floor is not what the metrics say of a method that always says the same class."""
    import numpy as np

    from benchmarks.scoring.metrics import summary

    matrix = np.zeros((4, 4), np.int64)
    matrix[:, 1] = list(COUNTS.values())
    assert constant_miou(scored(0.5, COUNTS).result) == summary(matrix, [False, True, True, True]).miou_seen


@pytest.mark.parametrize(("seen", "below"), [(0.2499, True), (0.25, False), (0.9, False), (None, False)])
def test_below_is_strictly_below(seen: float | None, below: bool) -> None:
    """Fails when the comparison is the wrong way round, or an undefined mIoU is taken for 0."""
    assert below_floor(scored(seen, COUNTS).result) is below


def test_only_whole_trainings_are_held_against_it() -> None:
    """Fails when a trial run or a method that trains nothing is called broken, or imported weights are passed over."""
    assert not below_floor(scored(0.1, COUNTS, limit=3).result)
    assert not below_floor(scored(0.1, COUNTS, recipe=factory.UNTRAINED).result)
    assert not below_floor(scored(0.1, COUNTS, method="constant").result)
    assert below_floor(scored(0.1, COUNTS, recipe=factory.UNTRAINED, weights="f" * 64).result)


def test_the_line_and_the_table(toy) -> None:
    """Fails when a table of such a record does not say so with the causes, or says so of a good one."""
    bad, good = scored(0.1, COUNTS), scored(0.5, COUNTS, seed=1)
    (line,) = warnings_of([bad, good])
    for words in ("fold 0 seed 0", "10.00", "25.00", "label offset", "order of the classes", "palette"):
        assert words in line
    (table, *_) = build_tables([bad, good])
    assert line in table.notes
    (table, *_) = build_tables([good])
    assert not any("Below the floor" in note for note in table.notes)

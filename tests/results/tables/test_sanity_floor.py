"""The sanity floor: what is trained and scores below one constant is told, with the likely causes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.spec import ClipId
from results.store.confusion import packed
from results.store.folders import CONFUSION
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
    from benchmarks.scoring.metrics import summary

    matrix = np.zeros((4, 4), np.int64)
    matrix[:, 1] = list(COUNTS.values())
    assert constant_miou(scored(0.5, COUNTS).result) == summary(matrix, [False, True, True, True]).miou_seen


@pytest.mark.parametrize(("seen", "below"), [(0.2499, True), (0.25, False), (0.9, False), (None, False)])
def test_below_is_strictly_below(seen: float | None, below: bool) -> None:
    """Fails when the comparison is the wrong way round, or an undefined mIoU is taken for 0."""
    assert below_floor(scored(seen, COUNTS).result) is below


def test_what_is_held_against_it() -> None:
    """Fails when a trial run, a floor or a CLIP that never saw a photo is called broken, or imported weights or
    predictions, training-free methods or weights scored elsewhere are passed over.
    """
    untrained = {"recipe": factory.UNTRAINED}
    assert not below_floor(scored(0.1, COUNTS, limit=3).result)
    assert not below_floor(scored(0.1, COUNTS, method="constant", **untrained).result)
    assert not below_floor(scored(0.1, COUNTS, method="random", **untrained).result)
    assert below_floor(scored(0.1, COUNTS, method="clip", **untrained).result)
    assert below_floor(scored(0.1, COUNTS, weights="f" * 64, **untrained).result)
    assert below_floor(scored(0.1, COUNTS, predictions="f" * 64, clip=None, **untrained).result)
    built_in = ClipId(model="tiny", pretrained="builtin")
    assert not below_floor(scored(0.1, COUNTS, method="clip", clip=built_in, **untrained).result)
    assert below_floor(scored(0.1, COUNTS, clip=built_in).result)  # trained on these photos
    moved = scored(0.1, COUNTS)
    elsewhere = moved.result.evaluation.model_copy(update={"labelled": ("bee",)})
    assert below_floor(moved.result.model_copy(update={"evaluation": elsewhere}))


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


def test_a_label_offset_is_named(toy, tmp_path) -> None:
    """Fails when the stored matrix is not looked at, the shift has the wrong sign, or a shift that helps little is
    named: half of the hits go one index up in the first matrix, nothing fits the second.
    """
    record, path = scored(0.1, COUNTS), tmp_path / CONFUSION
    off = np.zeros((4, 4), np.int64)
    off[[0, 1, 2], [1, 2, 3]] = 400, 500, 100
    for matrix, wanted in (
        (off, "label offset? the class indices look 1 too high: read as index - 1, mIoU(S) would be 100.00."),
        (off.T[::-1, ::-1], "label offset? the class indices look 1 too high"),
        (np.full((4, 4), 7), "look for a label offset (does class 1 stand where"),
    ):
        path.write_bytes(packed({"matrices": matrix[None], "own_index": 0}))
        (line,) = warnings_of([record], lambda _: path)
        assert wanted in line
        (table, *_) = build_tables([record], locate=lambda _: path)
        assert line in table.notes

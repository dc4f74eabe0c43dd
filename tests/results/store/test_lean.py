"""Records in little memory are the records that were read."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from pathlib import Path

import pytest

from results.store.folders import load_record
from results.store.lean import Lean, ious_of, pixels_of, totals_of, whole
from results.store.record import LossPoint, RunRecord, curve_digest
from results.store.selection import Selection, select, settled, uncollected
from tests.results import factory

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"


def with_losses(*points: LossPoint) -> RunRecord:
    made = factory.record()
    return made.model_copy(update={"result": made.result.model_copy(update={"losses": points})})


def test_whole_records_are_as_they_were_read() -> None:
    """Fails if a number, a name or the digest of a stored record changes on its way through little memory."""
    lean, paths = Lean(), sorted(REFERENCE.glob("*/zegclip*/*seed0*/evals/*/record.json"))
    assert len(paths) > 4
    for path in paths:
        read, kept = load_record(path), lean(load_record(path))
        assert tuple(kept.result.classes) == read.result.classes
        assert kept.result.losses == read.result.losses
        assert whole(kept) == read
        assert whole(kept).result.digest() == read.result.digest()
        assert kept.same_result(read)
        assert whole(read) is read


@pytest.mark.parametrize(
    "points",
    [
        (LossPoint(step=3, losses={"a": 0.1, "b": 1e300}), LossPoint(step=6, losses={"a": -0.0, "b": 5e-324})),
        (LossPoint(step=3, losses={"a": 0.1}), LossPoint(step=6, losses={"b": 0.2})),  # other names at other steps
        (LossPoint(step=1, losses={}),),
        (),
    ],
)
def test_loss_curves(points: tuple[LossPoint, ...]) -> None:
    """Fails if a curve whose points have other names, or none, comes back otherwise."""
    kept = Lean()(with_losses(*points))
    assert tuple(kept.result.losses) == points
    assert [list(point.losses.items()) for point in kept.result.losses] == [list(p.losses.items()) for p in points]
    assert whole(kept).result.losses == points


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_scores_without_a_shift_are_kept_once(shift: float) -> None:
    """Fails when a record without a shift keeps its scores twice, or one with a shift loses those without it."""
    made = factory.record().result
    unshifted = made.own.model_copy(update={"hiou": made.own.hiou + shift})
    record = factory.record().model_copy(update={"result": made.model_copy(update={"unshifted": unshifted})})
    kept = Lean()(record).result
    assert (kept.unshifted is kept.own) == (shift == 0)
    assert kept.unshifted == unshifted


def test_a_class_that_is_not_averaged_stays_undefined() -> None:
    """Fails if an IoU of None becomes a number, or places count otherwise than in a tuple."""
    made = factory.record()
    classes = (made.result.classes[0].model_copy(update={"iou": None}), *made.result.classes[1:])
    made = made.model_copy(update={"result": made.result.model_copy(update={"classes": classes})})
    kept = Lean()(made).result.classes
    assert kept[0].iou is None
    assert kept[-1] == classes[-1]
    assert kept[1:3] == classes[1:3]
    with pytest.raises(IndexError):
        kept[len(classes)]


def test_copies_that_differ_are_told_apart() -> None:
    """Fails if two results that differ in a class or a loss pass for one because they are kept in arrays."""
    point = LossPoint(step=3, losses={"a": 0.1})
    one, other = Lean()(with_losses(point)), Lean()(with_losses(point.model_copy(update={"step": 4})))
    assert one.same_result(Lean()(with_losses(point)))
    assert not one.same_result(other)


def test_what_is_taken_from_arrays_is_what_their_values_say() -> None:
    """Fails when a figure or a table of classes that asks for many values at once shows others than one by one."""
    path = min(REFERENCE.glob("*/zegclip/*seed0*/evals/*/record.json"))
    read, kept, sums = load_record(path).result, Lean()(load_record(path)), Lean(every_loss=False)(load_record(path))
    expected = [(of.name, of.seen, of.iou) for of in read.classes if of.iou is not None]
    assert list(ious_of(read.classes)) == list(ious_of(kept.result.classes)) == expected
    pixels = [(of.seen, of.tp + of.fn) for of in read.classes]
    assert list(pixels_of(read.classes)) == list(pixels_of(kept.result.classes)) == pixels
    totals = [(point.step, point.total) for point in read.losses]
    assert totals == list(totals_of(read.losses)) == list(totals_of(kept.result.losses))
    assert totals == list(totals_of(sums.result.losses)) == [(point.step, point.total) for point in sums.result.losses]


@pytest.mark.parametrize(
    "other",
    [
        (LossPoint(step=4, losses={"a": 0.1, "b": 0.2}),),
        (LossPoint(step=3, losses={"a": 0.2, "b": 0.1}),),
        (LossPoint(step=3, losses={"a": 0.1, "c": 0.2}),),
        (LossPoint(step=3, losses={"a": 0.1, "b": -0.2}),),
        (LossPoint(step=3, losses={"a": 0.1}), LossPoint(step=3, losses={"b": 0.2})),
        (),
    ],
)
def test_curves_that_differ_have_other_digests(other: tuple[LossPoint, ...]) -> None:
    """Fails when two curves pass for one although a step, a name or a number differs."""
    curve = (LossPoint(step=3, losses={"a": 0.1, "b": 0.2}),)
    assert curve_digest(curve) == curve_digest((LossPoint(step=3, losses={"b": 0.2, "a": 0.1}),))
    assert curve_digest(curve) != curve_digest(other)
    assert curve_digest(other) == curve_digest(Lean()(with_losses(*other)).result.losses)


def test_sums_of_losses_are_those_of_the_losses() -> None:
    """Fails if a figure would show another curve, copies cannot be told apart, or a record passes for a whole one."""
    points = (
        LossPoint(step=3, losses={"a": 0.1, "b": 0.2, "watched c": 9.0}),
        LossPoint(step=1 << 40, losses={"b": 0.3}),
    )
    kept, other = (Lean(every_loss=False)(with_losses(*p)) for p in (points, points[:1]))
    assert [(p.step, p.total) for p in kept.result.losses] == [(p.step, p.total) for p in points]
    assert kept.same_result(Lean(every_loss=False)(with_losses(*points)))
    assert not kept.same_result(other)
    assert not kept.same_result(
        Lean(every_loss=False)(with_losses(points[0], points[1].model_copy(update={"step": 4})))
    )
    with pytest.raises(ValueError, match="without its single losses"):
        whole(kept)


def test_ten_thousand_fit() -> None:
    """Fails if a record takes more than 12 KiB: 10,000 of them are to stay below 400 MiB with the rest of a command."""
    paths = sorted(REFERENCE.glob("*/zegclip/*seed0*/evals/*/record.json"))
    lean = Lean(every_loss=False)
    for path in paths:
        lean(load_record(path))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [lean(load_record(path)) for _ in range(5) for path in paths]
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken / len(kept) < 12 * 1024


def test_figures_are_let_go_and_records_are_passed_over() -> None:
    """Fails if garbage that refers to itself piles up while a report is drawn, or the collector stays as it was set."""
    records = [factory.record()]
    with uncollected():
        with settled():
            assert gc.isenabled()
            assert gc.get_freeze_count() > 0
            cycle = Cycle()
            watched = weakref.ref(cycle)
            del cycle
            gc.collect()
            assert watched() is None
        assert not gc.isenabled()
        assert gc.get_freeze_count() == 0
    assert gc.isenabled()
    assert records


class Cycle:
    """Refers to itself, as figures do."""

    def __init__(self) -> None:
        self.itself = self


def test_records_are_whole_unless_sums_are_enough() -> None:
    """Fails if somebody who asks for stored records gets sums of losses without having said so."""
    roots = (REFERENCE,)
    for every, names in ((None, {"dice", "focal"}), (False, {"total"})):
        options = {} if every is None else {"every_loss": every}
        found = select(Selection(roots, methods=("zegclip",)), **options)
        (losses,) = {frozenset(point.losses) for point in found.records[0].result.losses}
        assert names <= losses

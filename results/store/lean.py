"""Records that are kept by the thousand: the same values in little memory.

What many records have in common (protocol sides, recipes, versions of packages, names) is one object for all of them.
The many small values of a record (its classes, its loss curve) are arrays that make each value when it is asked for.
Floats stay float64: nothing is rounded. `whole` gives back a record of plain values, for what compares or writes them.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from benchmarks.values import Value, canonical_json
from results.store.record import ClassCounts, LossPoint, RunRecord, curve_digest

Share = Callable[[Any], Any]
_ABSENT = float("nan")  # in an array of IoUs; a record holds no NaN


class _Packed(Sequence[Any]):
    """A tuple of values whose numbers lie in arrays."""

    __slots__ = ()

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return tuple(self._made(i) for i in range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self._made(place % len(self))

    def __iter__(self) -> Iterator[Any]:
        return map(self._made, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _made(self, place: int) -> Any:
        raise NotImplementedError


class Classes(_Packed):
    """The counts of every scored class."""

    __slots__ = ("_counts", "_ious", "_kinds")

    def __init__(self, classes: Sequence[ClassCounts], kinds: tuple[tuple[str, bool], ...]):
        self._kinds = kinds  # name, seen: the same for all records of a fold
        self._counts = array("q", (count for c in classes for count in (c.tp, c.fp, c.fn)))
        self._ious = array("d", (_ABSENT if c.iou is None else c.iou for c in classes))

    def __len__(self) -> int:
        return len(self._ious)

    def share(self, shared: Share) -> None:
        """Hold the first of equal values in place of one's own."""
        self._kinds = shared(self._kinds)

    def ious(self) -> Iterator[tuple[str, bool, float]]:
        """Name, seen and IoU of each class that has one, without making its other values."""
        return ((*kind, iou) for kind, iou in zip(self._kinds, self._ious, strict=True) if iou == iou)

    def pixels(self) -> Iterator[tuple[bool, int]]:
        """Whether each class was seen, and how many pixels the truth has of it, as `ious`."""
        counts = self._counts
        return ((seen, counts[3 * i] + counts[3 * i + 2]) for i, (_, seen) in enumerate(self._kinds))

    def _made(self, place: int) -> ClassCounts:
        (name, seen), iou = self._kinds[place], self._ious[place]
        tp, fp, fn = self._counts[3 * place : 3 * place + 3]
        return ClassCounts.model_construct(name=name, seen=seen, tp=tp, fp=fp, fn=fn, iou=None if iou != iou else iou)


class Losses(_Packed):
    """The points of a loss curve."""

    __slots__ = ("_names", "_steps", "_values")

    def __init__(self, points: Sequence[LossPoint], names: tuple[str, ...]):
        self._names = names  # of every point
        self._steps = array("q", (point.step for point in points))
        self._values = array("d", (value for point in points for value in point.losses.values()))

    def __len__(self) -> int:
        return len(self._steps)

    def share(self, shared: Share) -> None:
        """As of classes."""
        self._names = shared(self._names)

    def _made(self, place: int) -> LossPoint:
        count = len(self._names)
        values = self._values[count * place : count * (place + 1)]
        return LossPoint.model_construct(step=self._steps[place], losses=dict(zip(self._names, values, strict=True)))


class Totals(_Packed):
    """Of a loss curve what a figure shows: at each step what was minimised. `digest` tells two curves apart."""

    __slots__ = ("_steps", "_totals", "digest")

    def __init__(self, points: Sequence[LossPoint], steps: bytes):
        self._steps, self._totals = steps, array("d", (point.total for point in points))
        self.digest = curve_digest(points)

    def __len__(self) -> int:
        return len(self._totals)

    def share(self, shared: Share) -> None:
        """As of classes."""
        self._steps = shared(self._steps)

    def pairs(self) -> Iterator[tuple[int, float]]:
        """Step and sum of each point, without making points."""
        return zip(struct.unpack(f"<{len(self)}q", self._steps), self._totals, strict=True)

    def _made(self, place: int) -> LossPoint:
        step = int.from_bytes(self._steps[8 * place : 8 * place + 8], "little", signed=True)
        return LossPoint.model_construct(step=step, losses={"total": self._totals[place]})


def ious_of(classes: Sequence[ClassCounts]) -> Iterator[tuple[str, bool, float]]:
    """Name, seen and IoU of each class that has one."""
    if isinstance(classes, Classes):
        return classes.ious()
    return ((of.name, of.seen, of.iou) for of in classes if of.iou is not None)


def pixels_of(classes: Sequence[ClassCounts]) -> Iterator[tuple[bool, int]]:
    """Whether each class was seen, and how many pixels the truth has of it."""
    return classes.pixels() if isinstance(classes, Classes) else ((of.seen, of.tp + of.fn) for of in classes)


def totals_of(losses: Sequence[LossPoint]) -> Iterator[tuple[int, float]]:
    """Each step of a curve with what was minimised there."""
    return losses.pairs() if isinstance(losses, Totals) else ((point.step, point.total) for point in losses)


class Lean:
    """Makes records lean; what it has seen before is shared with the records from then on.

    every_loss: keep each loss of a training; else only their sum at each step, from which no whole record can be made.
    """

    def __init__(self, *, every_loss: bool = True) -> None:
        self._known: dict[Any, Any] = {}
        self._every_loss = every_loss

    def empty(self) -> Lean:
        """Another of the same kind, which has seen nothing."""
        return Lean(every_loss=self._every_loss)

    def __call__(self, record: RunRecord) -> RunRecord:
        """The same record, in place: it is the reader's own and nobody else has seen it. It may be lean already."""
        result, train = record.result, record.result.train
        for value, name in ((train, "side"), (train, "clip"), (train, "recipe"), (result, "evaluation")):
            value.__dict__[name] = self._same(value.__dict__[name])
        train.__dict__["config"] = self._same(train.config)
        if result.unshifted == result.own:  # what has no shift of its own
            result.__dict__["unshifted"] = result.own
        provenance = record.provenance
        phases = [phase for phase in (provenance.training, provenance.scoring) if phase is not None]
        for phase in phases:
            phase.__dict__["packages"] = self._same(phase.packages)
        self._pack(record)
        for part in (record, result, train, result.own, result.unshifted, result.best, record.costs, *phases):
            self._share_names(part)
        self._share_names(provenance)
        return record

    def _pack(self, record: RunRecord) -> None:
        result = record.result
        if isinstance(result.classes, Classes):
            result.classes.share(self._shared)
            if isinstance(result.losses, Losses | Totals):
                result.losses.share(self._shared)
            return
        kinds = self._shared(tuple((c.name, c.seen) for c in result.classes))
        result.__dict__["classes"] = Classes(result.classes, kinds)
        if result.losses and not self._every_loss:
            steps = struct.pack(f"<{len(result.losses)}q", *[point.step for point in result.losses])
            result.__dict__["losses"] = Totals(result.losses, self._shared(steps))
        elif result.losses:
            names = {tuple(point.losses) for point in result.losses}
            if len(names) == 1:  # else they stay as they are
                result.__dict__["losses"] = Losses(result.losses, self._shared(names.pop()))

    def _share_names(self, value: Value) -> None:
        """Texts that repeat, and the set of the fields that were given."""
        for name, field in value.__dict__.items():
            if type(field) is str and len(field) < 128 and name not in _UNIQUE:
                value.__dict__[name] = sys.intern(field)
        fields = value.__pydantic_fields_set__
        object.__setattr__(value, "__pydantic_fields_set__", self._known.setdefault(frozenset(fields), fields))

    def _same(self, value: Any) -> Any:
        """The first value that was equal to this one: a value of ours by its JSON, plain data by theirs."""
        if isinstance(value, Value):
            return self._known.setdefault((type(value), value.model_dump_json()), value)
        return self._known.setdefault(("plain", canonical_json(value)), value) if value is not None else None

    def _shared(self, value: tuple[Any, ...] | bytes) -> Any:
        return self._known.setdefault(("plain", value), value)


_UNIQUE = ("started", "ended", "confusion_sha256", "weights_sha256", "job")  # of each record its own


def whole(record: RunRecord) -> RunRecord:
    """The record with plain tuples, as it was read. Raises ValueError where its losses were not kept."""
    result = record.result
    if isinstance(result.losses, Totals):
        raise ValueError(f"{result.train.folder}: was read without its single losses")
    if not isinstance(result.classes, _Packed) and not isinstance(result.losses, _Packed):
        return record
    plain = {"classes": tuple(result.classes), "losses": tuple(result.losses)}
    return record.model_copy(update={"result": result.model_copy(update=plain)})

"""The sanity floor: whatever has learned anything names the seen classes better than a constant does.

The floor needs no run of its own: it is the best that one seen class, said of every pixel, would have scored on the
same pixels. A method below it, trained here, elsewhere or not at all, has nothing that reaches the scores; nearly
always something is wired wrong. Where the confusion matrix shows that all class indices are off by as much, that is
told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from methods.registry import METHODS
from results.store.confusion import Locate, counted
from results.store.lean import pixels_of
from results.store.record import Result, RunRecord
from results.tables.label_offset import Offset, best_offset

BUILT_IN, DRAWN = "builtin", "shapes"  # a CLIP, and the only data set that it knows

ROUNDING = 1e-9  # by which two ways to compute one mean may differ

CAUSES = (
    "a label offset (does class 1 stand where class 0 is expected?), another order of the classes, masks drawn in "
    "colours (a palette) and read as ids,"
)
OF_WEIGHTS, NEVER_SEEN = "weights of another vocabulary", "or classes that its training never saw"


def constant_miou(result: Result) -> float | None:
    """mIoU over seen classes of the most frequent seen class said everywhere; None where no seen class is there.

    Its IoU is its share of the labelled pixels, every other seen class that is there has 0, one that is not there is
    not averaged.
    """
    there = [pixels for seen, pixels in pixels_of(result.classes) if seen and pixels]
    if not there or not result.labelled_pixels:
        return None
    return max(there) / result.labelled_pixels / len(there)


def below_floor(result: Result) -> bool:
    """Does it score worse on seen classes than the constant, and is it none of what may?

    Passed over are the floors themselves, trial runs (`limit`), which need not have reached it, and the built-in CLIP
    on photos, of which it knows nothing: another note says so.
    """
    train, floor = result.train, constant_miou(result)
    known = METHODS.get(train.method)
    is_floor = known is not None and not known.trained and not known.custom and known.needs == "nothing"
    untaught = train.recipe.iterations == 0 or result.evaluation.transferred
    blind = untaught and train.clip is not None and train.clip.pretrained == BUILT_IN
    if is_floor or train.limit is not None or (blind and result.evaluation.side.data.dataset != DRAWN):
        return False
    return floor is not None and result.own.miou_seen is not None and result.own.miou_seen < floor


def offset_of(record: RunRecord, locate: Locate) -> Offset | None:
    """The shift of class indices that would lift a record above its floor; None where none does, or no matrix is there.

    One class said everywhere is no offset, though a shift may make it the constant itself.
    """
    result = record.result
    try:
        found = counted(locate(record), ("matrices", "own_index"))
    except (OSError, KeyError):
        return None
    offset = best_offset(found["matrices"][int(found["own_index"])], [row.seen for row in result.classes])
    above = (constant_miou(result) or 0) * (1 + ROUNDING)
    return offset if offset and offset.miou_seen > above else None


def warnings_of(records: Iterable[RunRecord], locate: Locate | None = None) -> Iterator[str]:
    """One line for each record below its floor, with the likely causes. locate: where their matrices lie."""
    for record in records:
        result = record.result
        if below_floor(result):
            train, floor = result.train, constant_miou(result)
            assert floor is not None
            assert result.own.miou_seen is not None
            offset = offset_of(record, locate) if locate else None
            last = f"{OF_WEIGHTS}, {NEVER_SEEN}" if result.evaluation.transferred else f"or {OF_WEIGHTS}"
            yield (
                f"Below the floor: {result.label} fold {result.evaluation.fold} seed {train.seed} has mIoU(S) "
                f"{100 * result.own.miou_seen:.2f}, one seen class said everywhere would have {100 * floor:.2f}; "
                f"{f'label offset? {offset.words()}' if offset else f'look for {CAUSES} {last}'}."
            )

"""Calibration by one rule for every method: the shift of the seen scores that is best where constants are chosen.

A method has a shift of its own, or none, as its authors have it, so that two methods may differ by their calibration
alone. Here the shift of each run is the swept one with the highest hIoU on the tune part (ties: the smallest), and the
scored part is read off its stored sweep at that shift: nothing is scored again.

The tune part of the built-in world has masks of the fold's unseen classes: this calibration knows more than zero-shot
learning does. A `-tune` benchmark of photos hides further seen classes instead, and trains without them: the shift is
that of the training of the same method, fold and seed there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from benchmarks.values import canonical_json
from results.store.confusion import counted
from results.store.folders import Stored
from results.store.metrics import swept
from results.store.record import Result, Scores
from splits.loader import load_split

TUNE: Final = "tune"  # the part, and the end of a benchmark's name
RunKey = tuple[str, str]


def key_of(result: Result) -> RunKey:
    """What a run's calibrated scores are found by: the digests of its training and of its scoring."""
    return result.train.digest(), result.evaluation.digest()


def tuned_scores(stored: Iterable[Stored]) -> dict[RunKey, Scores]:
    """The scores at the tuned shift, of every run whose method was scored on the tune part too.

    Left out: what has no sweep (imported predictions, episodic items), and runs for which two tune records disagree.
    """
    known = [one for one in stored if _has_sweep(one.record.result)]
    shifts: dict[str, set[float]] = {}
    for one in known:
        if _is_tune(one.record.result):
            shifts.setdefault(_model(one.record.result), set()).add(best_shift(every_shift(one)))
    found: dict[RunKey, Scores] = {}
    for one in known:
        result = one.record.result
        chosen = shifts.get(_model(result), set())
        if len(chosen) == 1 and not _is_tune(result):
            found |= {key_of(result): scores for scores in every_shift(one) if scores.shift in chosen}
    return found


def every_shift(stored: Stored) -> list[Scores]:
    """A run's scores at each swept shift, from the matrices beside its record."""
    arrays = counted(stored.confusion, ("shifts", "matrices"))
    return swept(stored.record.result.evaluation.side, arrays["shifts"], arrays["matrices"])


def best_shift(scores: Iterable[Scores]) -> float:
    """The shift with the highest hIoU; of several the one next to none, and of those the lower."""
    return min(scores, key=lambda s: (-1.0 if s.hiou is None else -s.hiou, abs(s.shift), s.shift)).shift


def _is_tune(result: Result) -> bool:
    return result.evaluation.part == TUNE or load_split(result.evaluation.benchmark).tuning


def _has_sweep(result: Result) -> bool:
    elsewhere = result.train.predictions or result.evaluation.drawn or result.evaluation.transferred
    return not elsewhere and result.evaluation.side.kind == "generalised"


def _model(result: Result) -> str:
    """What a run and its tune record share: how it was trained but for the images, and how it is asked."""
    benchmark = result.train.benchmark.removesuffix(f"-{TUNE}")
    train: dict[str, Any] = result.train.model_dump(mode="json", exclude={"benchmark", "side"})
    setting = result.train.side.model_dump(mode="json", exclude={"data", "classes", "seen", "queries"})
    asked = result.evaluation.side.model_dump(mode="json", exclude={"data", "classes", "seen", "queries"})
    templates = result.evaluation.side.queries.templates
    return canonical_json([benchmark, train, setting, asked, list(templates), result.evaluation.fold])

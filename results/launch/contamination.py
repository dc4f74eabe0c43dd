"""What imported weights have seen of what they are scored on, as far as their card tells."""

from __future__ import annotations

from benchmarks.catalogue import BENCHMARKS
from benchmarks.protocol import EvalSide, TrainSide
from benchmarks.spec import EvalSpec, TrainSpec

UNKNOWN, NONE = "unknown", "none"
SHOWN = 8
PASCAL = {"voc2012", "context"}  # their images are of one collection, with the same names


def contamination(train: TrainSpec, origin: TrainSpec | None, evaluation: EvalSpec) -> str:
    """Empty for weights trained here; "unknown" without a card; "none", or what overlaps, in words."""
    if not train.weights:
        return ""
    if origin is None or origin.weights:
        return UNKNOWN
    found = _classes(origin.side, evaluation.side) + _images(origin, evaluation)
    if origin.side.setting not in ("inductive", train.side.setting):
        found.append(f"trained in the setting {origin.side.setting}")
    return "; ".join(found) or NONE


def _classes(learned: TrainSide, asked: EvalSide) -> list[str]:
    """Unseen classes whose name, or whose words, were labelled in the training."""
    labelled = learned.classes if learned.setting == "fully-supervised" else learned.seen
    texts = dict(zip(learned.classes, learned.queries.texts, strict=True))
    known = {*labelled, *(texts[name] for name in labelled)}
    words = dict(zip(asked.classes, asked.queries.texts, strict=True))
    both = [name for name in asked.unseen if name in known or words[name] in known]
    return (
        [f"labelled in its training: {', '.join(both[:SHOWN])}{', ...' if len(both) > SHOWN else ''}"] if both else []
    )


def _images(origin: TrainSpec, evaluation: EvalSpec) -> list[str]:
    """Scored images that were trained on; said so where the lists are not known."""
    trained, scored = origin.side.data, evaluation.side.data
    if trained.dataset != scored.dataset and not {trained.dataset, scored.dataset} <= PASCAL:
        return []
    if trained.ids_sha256 == scored.ids_sha256:
        return ["trained on the very images that are scored"]
    lists = [_ids(origin.benchmark, "train"), _ids(evaluation.benchmark, evaluation.part)]
    if lists[0] is None or lists[1] is None:
        return [] if _apart(origin, evaluation) else ["whether scored images were trained on is not known"]
    both = sorted(lists[0] & lists[1])
    return [f"{len(both)} scored images were trained on, first {both[0]}"] if both else []


def _apart(origin: TrainSpec, evaluation: EvalSpec) -> bool:
    """Are these official parts of one edition, which share nothing? Those of a generated world are."""
    trained, scored = origin.side.data, evaluation.side.data
    bench = BENCHMARKS.get(evaluation.benchmark)
    from_train = bench is None or (bench.split.tuning and origin.benchmark != evaluation.benchmark)
    return trained.dataset == scored.dataset and trained.year == scored.year and not from_train


def _ids(name: str, part: str) -> set[str] | None:
    bench = BENCHMARKS.get(name)
    listed = bench.split.listed(part) if bench is not None else None
    return set(listed) if listed is not None else None

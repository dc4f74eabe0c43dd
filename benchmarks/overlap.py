"""What weights know of the classes of another benchmark or fold. By name; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.protocol import EvalSide, TrainSide
from benchmarks.spec import EvalSpec
from splits.names import meant

Known = dict[str, tuple[str, ...]]  # a class that is scored -> the classes of the training that mean it


def labelled(train: TrainSide, scored: Mapping[str, str]) -> Known:
    """Those of the scored classes (name -> words for CLIP) that were labelled in the training, in order."""
    with_labels = {*train.classes} if train.setting == "fully-supervised" else {*train.seen}
    return _among(train, scored, with_labels)


def pseudo_labelled(train: TrainSide, scored: Mapping[str, str]) -> Known:
    """Those that a transductive training knew by name, and gave to pixels, without their labels."""
    known = {*train.unseen} if train.setting.startswith("transductive") else set()
    return _among(train, scored, known)


def words_of(side: EvalSide) -> dict[str, str]:
    """Each class of a side with its words for CLIP."""
    return dict(zip(side.classes, side.queries.texts, strict=True))


def _among(train: TrainSide, scored: Mapping[str, str], chosen: set[str]) -> Known:
    """A name is looked for among all classes of the training first: what is not labelled there stays so."""
    terms = {name: (name, text) for name, text in zip(train.classes, train.queries.texts, strict=True)}
    found = {name: tuple(c for c in meant((name, text), terms) if c in chosen) for name, text in scored.items()}
    return {name: classes for name, classes in found.items() if classes}


@dataclass(frozen=True)
class Groups:
    """The classes of a transfer, each in one group: by the target's fold and by what was labelled in the training."""

    seen_labelled: tuple[str, ...]  # seen in the fold, and labelled in the training
    seen_new: tuple[str, ...]  # seen in the fold, which these weights were not trained on: new to them
    unseen_new: tuple[str, ...]  # unseen in the fold and new to the weights
    unseen_labelled: tuple[str, ...]  # unseen in the fold, but labelled in the training: contamination

    def lines(self) -> list[str]:
        """One for each group that has classes."""
        named = (
            ("unseen in the fold but LABELLED IN THE TRAINING, no zero-shot result", self.unseen_labelled),
            ("unseen in the fold and new to the weights", self.unseen_new),
            ("seen in the fold and labelled in the training", self.seen_labelled),
            ("seen in the fold but new to the weights", self.seen_new),
        )
        return [f"{words} ({len(names)}): {', '.join(names)}" for words, names in named if names]


def groups(evaluation: EvalSpec) -> Groups:
    """The groups of a transfer's classes; of a scoring where the weights were trained, two of them are empty."""
    side = evaluation.side
    known = set(side.seen if evaluation.labelled is None else evaluation.labelled)
    return Groups(
        seen_labelled=tuple(name for name in side.seen if name in known),
        seen_new=tuple(name for name in side.seen if name not in known),
        unseen_new=tuple(name for name in side.unseen if name not in known),
        unseen_labelled=tuple(name for name in side.unseen if name in known),
    )

"""The protocol: what exactly is measured. "mIoU" is not one number, so every result carries its protocol.

A protocol has a training side and an evaluation side: weights trained under one training side can be scored under
several evaluation sides. No table, delta or test compares numbers of different protocols.
"""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from benchmarks.choices import AbsentRule, Background, Border, CropDecision, Items, Kind, TrainingImages
from benchmarks.values import Value, digest
from splits.settings import Setting

BACKGROUND: Final = "background"
UNTRAINED: Final = "nothing is trained"  # in the place of a mask rule, where a benchmark has no training images


class DataSource(Value):
    """Data by content, never by path."""

    dataset: str
    """"voc2012", "coco", "shapes"."""
    year: str = ""
    """Where a data set has several editions."""
    ids_sha256: str
    """sha256 of the image ids used, in order."""
    partial: bool = False
    """Was only part of the official list present?"""
    mask_rule: str
    """How masks came to be, e.g. "SegmentationClassAug"."""


class Queries(Value):
    """What CLIP's text encoder is given. One comparison uses one set for all methods."""

    texts: tuple[str, ...]
    """The words for each class, in the order of the classes."""
    templates: tuple[str, ...]
    """The sentences that the words are put into."""
    synonyms: tuple[tuple[str, ...], ...] = ()
    """Further words for each class, in the order of the classes: the score of a class is the maximum over all its
    words. Empty: there are none.
    """

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """All words for each class, in the order of the classes."""
        further = self.synonyms or ((),) * len(self.texts)
        return tuple((first, *more) for first, more in zip(self.texts, further, strict=True))


class Inference(Value):
    """Sizes at test time; the sequence of resizes is that of `benchmarks.scoring.evaluate`."""

    short_side: int = Field(ge=1)
    """The image is resized so that its short side is this, the long side unbounded."""
    window: int | None = Field(default=None, ge=1)
    """Side of the square window; None: the whole image at once."""
    stride: int | None = Field(default=None, ge=1)
    """Pixels from window to window."""
    flips: bool = False
    """Scores of the mirrored image averaged in."""
    long_side: int | None = Field(default=None, ge=1)
    """The long side is at most this, whatever the short one becomes; None: unbounded."""

    @model_validator(mode="after")
    def _without_gaps(self) -> Self:
        if (self.window is None) != (self.stride is None):
            raise ValueError(f"window {self.window} with stride {self.stride}: expected both or neither")
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ValueError(f"stride {self.stride} leaves gaps between windows of {self.window}")
        return self


class Softmax(Value):
    """Background by probabilities: the softmax over all words of all classes decides, at the truth's size."""

    scale: float = Field(gt=0)
    """What cosines are multiplied by before the softmax."""
    threshold: float = Field(default=0.0, ge=0, le=1)
    """A pixel whose highest probability is below it is background, the first class."""
    smallest_share: float = Field(default=0.0, ge=0, lt=1)
    """A class predicted for at most this share of an image's pixels beside background is taken out of it."""


class _Side(Value):
    classes: tuple[str, ...]
    """Every class that is asked about, in order."""
    seen: tuple[str, ...]
    """Those whose labels may be learned from."""
    queries: Queries
    """The texts for the classes."""
    data: DataSource
    """The images and masks."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ from one another")
        if unknown := set(self.seen) - set(self.classes):
            raise ValueError(f"seen classes that are no classes: {sorted(unknown)}")
        if self.seen != tuple(name for name in self.classes if name in set(self.seen)):
            raise ValueError(f"seen classes must stand in the order of the classes, each once: {list(self.seen)}")
        if len(self.queries.texts) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.queries.texts)} query texts")
        if self.queries.synonyms and len(self.queries.synonyms) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but further words for {len(self.queries.synonyms)}")
        return self

    @property
    def unseen(self) -> tuple[str, ...]:
        """The classes without labels in training, in the order of the classes."""
        return tuple(name for name in self.classes if name not in set(self.seen))


class TrainSide(_Side):
    """What may be learned from."""

    setting: Setting = "inductive"
    """What training knows of unseen classes: nothing, their names, or more."""
    training_images: TrainingImages = "keep"
    """Images that contain unseen classes."""
    crop_decision: CropDecision = "masked"
    """Labels that decide a crop: without unseen classes, or all."""
    border: Border = "void"
    """What VOC's border pixels are to a method."""


class EvalSide(_Side):
    """What is asked and how it is counted."""

    kind: Kind = "generalised"
    """All classes at once, or one given class against the rest."""
    items: Items = "all"
    """Episodic: every listed pair, or the 1,000 that HSNet's test takes."""
    background: Background = "ignored"
    """Background pixels are left out, or count as one more seen class."""
    background_below: float | None = None
    """Background as a class: a pixel whose best score is below this is background."""
    absent_class: AbsentRule = "skip"
    """A class that is absent from truth and prediction is not averaged; or one that is absent from the truth."""
    inference: Inference
    """Sizes at test time."""
    softmax: Softmax | None = None
    """Probabilities decide, background (the first class) among them; None: the highest score decides."""

    @model_validator(mode="after")
    def _softmax(self) -> Self:
        if self.softmax is None:
            return self
        if self.classes[0] != BACKGROUND:
            raise ValueError(f"a threshold on probabilities says {BACKGROUND!r}, expected as the first class")
        if self.unseen or self.kind != "generalised":
            raise ValueError("a threshold on probabilities belongs to benchmarks without unseen classes")
        return self

    @model_validator(mode="after")
    def _background(self) -> Self:
        if (self.background == "class") != (self.background_below is not None):
            raise ValueError(
                f"background {self.background!r} with background_below {self.background_below}: expected 'class' with "
                "a threshold (--background class --background-below T) or 'ignored' without"
            )
        if self.background == "class" and BACKGROUND in self.classes:
            raise ValueError(f"{BACKGROUND!r} is one of the classes already; leave --background out")
        if self.background == "class" and self.kind != "generalised":
            raise ValueError("episodic items have a background of their own; leave --background out")
        return self

    @model_validator(mode="after")
    def _items(self) -> Self:
        if self.items != "all" and (self.kind != "episodic-binary" or self.data.dataset == "coco"):
            raise ValueError(
                f"items {self.items!r} are those of HSNet's Pascal test: give --kind episodic-binary there"
            )
        return self

    @property
    def scored(self) -> tuple[str, ...]:
        """The rows of the confusion matrix: the classes, and background where it is one.

        Background counts among the seen: nobody has to learn it from another class's name (a choice of ours; so do the
        `context-50-10` rows of the literature).
        """
        return (*self.classes, BACKGROUND) if self.background == "class" else self.classes

    @property
    def scored_as_seen(self) -> tuple[bool, ...]:
        """Which of `scored` count as seen."""
        seen = {*self.seen, BACKGROUND}
        return tuple(name in seen for name in self.scored)


class Protocol(Value):
    """Both sides. `hash` covers every field; `family` leaves out which classes are seen, so that folds share it."""

    train: TrainSide
    """What may be learned from."""
    evaluation: EvalSide
    """What is asked and how it is counted."""

    @model_validator(mode="after")
    def _parts_apart(self) -> Self:
        train, val = self.train.data, self.evaluation.data
        if train.dataset == val.dataset == "coco" and (train.year, val.year) == ("2017", "2014"):
            raise ValueError(
                "trained on COCO's train2017 and scored on val2014, which share tens of thousands of images; give "
                "both the same --year"
            )
        return self

    @property
    def hash(self) -> str:
        """sha256 over every field."""
        return self.digest()

    @property
    def family(self) -> str:
        """sha256 over every field but seen/unseen: a mean over folds needs one family and each fold once."""
        essence = self.essence()
        for side in essence.values():
            side.pop("seen", None)
        return digest(essence)

    def words(self) -> str:
        """The protocol in words, for the line under a table."""
        t, e = self.train, self.evaluation
        inference = e.inference
        window = f"window {inference.window}, stride {inference.stride}" if inference.window else "whole image"
        long_side = f" (long side at most {inference.long_side})" if inference.long_side else ""
        trained = [
            f"images with unseen classes {'kept, unlabelled there' if t.training_images == 'keep' else 'dropped'}",
            f"crops decided on {'masked' if t.crop_decision == 'masked' else 'full'} labels",
            f"border {t.border}",
        ]
        parts = [
            f"{e.kind}{'' if e.items == 'all' else f' ({e.items} items)'}, {t.setting if e.unseen else 'none unseen'}",
            _background_words(e),
            *(trained if e.unseen or t.data.mask_rule != UNTRAINED else ()),
            f"absent classes: {e.absent_class}",
            f"short side {inference.short_side}{long_side}, {window}{', flips' if inference.flips else ''}",
            f"{e.data.dataset}{' ' + e.data.year if e.data.year else ''} ({e.data.mask_rule})",
            f"{len(e.queries.templates)} text template{'s' * (len(e.queries.templates) > 1)}",
        ]
        if names := sum(map(len, e.queries.synonyms)):
            parts.append(f"{len(e.classes) + names} names, of a class the best")
        if t.data.partial or e.data.partial:
            parts.append("PARTIAL data: only the listed images that were present")
        return "; ".join(parts)


def _background_words(side: EvalSide) -> str:
    if side.kind == "episodic-binary":
        return "others against the given class"
    if side.softmax is not None:
        share = f", classes of at most {side.softmax.smallest_share:g} of the foreground left out"
        return (
            f"background is a class (best probability below {side.softmax.threshold:g}, cosines times "
            f"{side.softmax.scale:g}{share if side.softmax.smallest_share else ''})"
        )
    if side.background == "ignored":
        return "background ignored"
    return f"background is a seen class (best score below {side.background_below:g})"

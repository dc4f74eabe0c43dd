"""The record of one scored run: what it is, what came out, what it cost, and where it was made.

`result` is what must be bit-identical whenever the same specs are run again on the same hardware; `costs` and
`provenance` are apart. Numbers are unrounded fractions in [0, 1]; rounding happens only in print.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from benchmarks.spec import EvalSpec, TrainSpec
from benchmarks.values import Value, canonical_json
from methods.registry import METHODS, config_class

SCHEMA = 2
# What `contamination` may say besides what overlaps, and what a table makes of it.
UNSURE = "whether scored images were trained on is not known"
MARKS = {"": "", "none": "", "unknown": "training unknown", UNSURE: "images not checked"}


LATER = ("miou", "miou_foreground")  # fields of Scores that older records lack; their matrices tell


class Scores(Value):
    """What one confusion matrix says. None where a mean has no class to go over."""

    shift: float
    """What was taken off the scores of seen classes."""
    pacc: float | None
    """Pixel accuracy over the scored pixels."""
    miou_seen: float | None
    """Mean IoU of the seen classes, mIoU(S)."""
    miou_unseen: float | None
    """Mean IoU of the unseen classes, mIoU(U)."""
    hiou: float | None
    """Harmonic mean of mIoU(S) and mIoU(U)."""
    miou: float | None = None
    """Mean IoU of every scored class, seen or not, background among them where it is scored; None in older records."""
    miou_foreground: float | None = None
    """The same without background; None where it is not scored, and in older records."""
    fb_iou: float | None = None
    """Mean IoU of foreground and background over all items; of episodic items alone."""

    def as_before(self) -> Scores:
        """Without what older records do not say."""
        return self.model_copy(update=dict.fromkeys(LATER))


class ClassCounts(Value):
    """Pixels of one class at the method's own shift, and its IoU."""

    name: str
    """The class, as the benchmark names it."""
    seen: bool
    """Was it labelled in training?"""
    tp: int
    """Pixels of the class that were predicted as it."""
    fp: int
    """Pixels of other classes that were predicted as it."""
    fn: int
    """Pixels of the class that were predicted as another."""
    iou: float | None
    """tp / (tp + fp + fn); None where the protocol's rule for absent classes leaves it out of means."""


class LossPoint(Value):
    """Losses between two steps of a training."""

    step: int
    """The last step of the mean."""
    losses: dict[str, float]
    """The mean of each loss, as weighted, since the last point; "watched ..." are figures that are no losses."""

    @property
    def total(self) -> float:
        """What was minimised: the sum of the losses, without what was only watched."""
        return math.fsum(map(self.losses.__getitem__, _minimised(tuple(self.losses))))


@lru_cache(maxsize=256)
def _minimised(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith("watched "))


class Result(Value):
    """The part that must repeat bit for bit."""

    train: TrainSpec
    """What was trained."""
    evaluation: EvalSpec
    """How it was scored."""
    protocol_hash: str
    """sha256 of the protocol: both sides, the fold included."""
    family_hash: str
    """sha256 of the protocol without the fold: rows of one table share it."""
    own: Scores
    """At the method's own seen-score shift."""
    unshifted: Scores
    """Without any shift."""
    best: Scores
    """At the shift with the highest hIoU on the scored images themselves: an oracle."""
    classes: tuple[ClassCounts, ...]
    """Every scored class."""
    images: int
    """Images (or episodic items) that were scored."""
    labelled_pixels: int
    """Pixels that count."""
    ignored_pixels: int
    """Pixels of the truth that the protocol ignores."""
    losses: tuple[LossPoint, ...] = ()
    """The loss curve of the training."""
    confusion_sha256: str
    """sha256 of confusion.npz beside the record."""
    weights_sha256: str
    """sha256 of the trained tensors; of imported predictions, over all of them."""
    clip_sha256: str = ""
    """sha256 of the CLIP weights that were loaded."""
    body_sha256: str = ""
    """sha256 of the file that a segmentation body began with; empty where its weights were drawn."""
    train_data_sha256: str = ""
    """sha256 over the sha256s of all photos and masks read for training; empty where none is read from files."""
    eval_data_sha256: str = ""
    """sha256 over the sha256s of all photos and masks read for scoring; empty where none is read from files."""
    partial: bool = False
    """Part of the data, or a trial run."""
    contamination: str = ""
    """Unseen classes or scored images that imported or transferred weights were trained on; "none", or "unknown"."""
    warnings: tuple[str, ...] = ()
    """What a reader of the numbers must know of the data and inputs; tables print it below."""

    @property
    def miou(self) -> float | None:
        """Mean IoU of every scored class at the method's own shift; of an older record by its counts."""
        if self.own.miou is not None or self.evaluation.side.kind != "generalised":
            return self.own.miou
        ious = [counts.iou for counts in self.classes if counts.iou is not None]
        return math.fsum(ious) / len(ious) if ious else None

    @property
    def label(self) -> str:
        """The method as tables name it; a recipe that is not the paper's shows, and a training elsewhere."""
        if self.evaluation.transferred:
            return f"{self.train.method} ({'; '.join([*self._transfer, *filter(None, [self._computed])])})"
        drawn = " (drawn setting)" if self.evaluation.drawn else ""
        drawn += f" ({self._computed})" if self._computed else ""
        return f"{self._made}{drawn}{' (tuned on test)' if self.evaluation.tuned_on_test else ''}"

    @property
    def trained_on(self) -> str:
        """Benchmark and fold of the training where weights are scored elsewhere, else empty."""
        return f"{self.train.benchmark} fold {self.train.fold}" if self.evaluation.transferred else ""

    @property
    def _computed(self) -> str:
        """What scores were computed in where it is not float32."""
        return "" if self.evaluation.precision == "float32" else f"scored in {self.evaluation.precision}"

    @property
    def _transfer(self) -> list[str]:
        recipe, unknown = self.train.recipe.name, self.contamination == "unknown"
        if self.train.weights:
            parts = ["imported weights"]
        else:
            parts = [] if recipe in ("paper", "none") else [f"{recipe} recipe"]
        parts.append(f"{'said to be ' if unknown else ''}trained on {self.trained_on}")
        return [*parts, self._mark] if self._mark else parts

    @property
    def _mark(self) -> str:
        return MARKS.get(self.contamination, "contaminated")

    @property
    def _made(self) -> str:
        recipe = self.train.recipe
        if self.train.predictions:
            return f"{self.train.method} (imported)"
        if self.train.weights:
            return f"{self.train.method} ({', '.join(filter(None, ['imported weights', self._mark]))})"
        parts = [
            "" if recipe.name in ("paper", "none") else f"{recipe.name} recipe",
            self.train.reading and f"reading {self.train.reading}",
            "body from noise" if self._body_from_noise else "",
        ]
        said = ", ".join(filter(None, parts))
        return f"{self.train.method} ({said})" if said else self.train.method

    @property
    def _body_from_noise(self) -> bool:
        """Did it train a segmentation body that began with no weights? The papers' bodies begin with ImageNet's."""
        if self.train.method not in METHODS or not self.train.recipe.iterations:
            return False
        fields = config_class(self.train.method).model_fields
        return "body_weights" in fields and self.train.config.get("body_weights", "none") == "none"


class Costs(Value):
    """What the run took. Rates leave the warm-up out."""

    parameters_trainable: int
    """Parameters that get a gradient."""
    parameters_total: int
    """All parameters of the method while it is trained."""
    parameters_inference: int | None = None
    """Parameters that run at test, frozen ones too; None where nobody counted them apart."""
    parameters_published: int | None = None
    """Trainable parameters as the authors' code counts them, unused ones included."""
    gmacs: float | None = None
    """Multiply-accumulates (10^9) of one pass at `gmacs_at`; None where they could not be counted."""
    gmacs_at: str = ""
    """Size of the picture of `gmacs`, in pixels."""
    train_seconds: float = 0.0
    """Wall seconds of the training's steps, over all attempts as far as their checkpoints tell."""
    train_images_per_second: float | None = None
    """Of the last attempt."""
    eval_seconds: float = 0.0
    """Wall seconds of the scoring."""
    eval_images_per_second: float | None = None
    """Images scored a second."""
    peak_memory_mib: float = 0.0
    """Resident set on a CPU (less of the libraries' own pages where several runs share them), allocator on CUDA; of
    rank 0.
    """
    micro_batch: int = 0
    """Images that a rank has in hand at once."""


class Phase(Value):
    """Where, when and with what a training or a scoring was done."""

    commit: str
    """Commit of the harness; empty outside a git checkout."""
    dirty: bool
    """Did tracked files of the checkout differ from the commit?"""
    packages: dict[str, str]
    """Versions of the packages that can change a number."""
    python: str
    """Interpreter and platform."""
    host: str
    """Name of the machine."""
    device: str
    """"cpu", or the GPU as its driver names it."""
    processor: str = ""
    """The CPU: its name, family, model, and the vector instructions that torch took."""
    driver: str = ""
    """Version of the GPU's driver; empty without one."""
    cuda: str = ""
    """Version of CUDA that torch was built with; empty on a CPU."""
    threads: int
    """CPU threads of torch."""
    load: float | None = None
    """Load average of the machine over one minute, as the phase began."""
    deterministic: bool
    """Were deterministic algorithms alone allowed?"""
    nondeterministic: tuple[str, ...] = ()
    """Operations that torch warned of."""
    started: str
    """When the last attempt began, in UTC."""
    ended: str
    """When it ended, in UTC."""
    attempts: int
    """How many processes had begun the run by then."""
    seconds: float | None = None
    """Wall seconds over all attempts, start and loading included; None in records that did not count them."""
    device_seconds: float | None = None
    """Seconds over all attempts, times the devices held."""
    cpu_seconds: float | None = None
    """Processor seconds of rank 0 and its data loaders over all attempts."""
    energy_joules: float | None = None
    """Energy of rank 0's GPU in the last attempt, where NVML tells it."""
    code_sha256: str = ""
    """sha256 of the copy of the code that a cluster job ran, frozen when it was submitted."""
    job: str = ""
    """The cluster job."""
    ranks: tuple[str, ...] = ()
    """Machine and device of each process that trained, where there were several."""


class Provenance(Value):
    """Where a record comes from: its training and its scoring are told apart."""

    sources_sha256: str
    """sha256 of the method's own code that trained the weights."""
    training: Phase | None = None
    """None where nothing was trained here, and in records that did not keep it."""
    scoring: Phase
    """The scoring."""


class RunRecord(Value):
    """One scored run as stored."""

    schema_version: int = SCHEMA
    """Rises with every change of fields."""
    result: Result
    """What was measured."""
    costs: Costs
    """What it took."""
    provenance: Provenance
    """Where, when and with what it was made."""

    def same_result(self, other: RunRecord) -> bool:
        """Bit-identical in the part that must repeat.

        All its numbers count, the hash of the file of matrices does not: one array more there (`store.confusion`) or
        another packer makes another file of the same counts. The hash of photos and masks counts where both know it;
        what is said of them does not.
        """
        left_out: dict[str, Any] = {"confusion_sha256": "", "warnings": ()}
        for name in ("train_data_sha256", "eval_data_sha256"):
            if not (getattr(self.result, name) and getattr(other.result, name)):
                left_out[name] = ""
        left_out["losses"] = ()
        scores = ("own", "unshifted", "best")
        older = any(getattr(r.result, name).miou is None for r in (self, other) for name in scores)
        mine, theirs = (
            r.result.model_copy(
                update={
                    **left_out,
                    "classes": tuple(r.result.classes),
                    **({name: getattr(r.result, name).as_before() for name in scores} if older else {}),
                }
            )
            for r in (self, other)
        )
        return mine.digest() == theirs.digest() and curve_digest(self.result.losses) == curve_digest(
            other.result.losses
        )


def curve_digest(losses: Sequence[LossPoint]) -> str:
    """What tells two loss curves apart; one that is kept in little memory (`store.lean`) brings its own.

    Of the numbers' bytes: as text they would take longer than all else that is done with a record.
    """
    if known := getattr(losses, "digest", None):
        return known
    ordered: dict[tuple[str, ...], tuple[str, ...]] = {}  # the names of a point as they come, and sorted
    values, kinds = array("d"), []
    for point in losses:
        of = tuple(point.losses)
        if of not in ordered:
            ordered[of] = tuple(sorted(of))
        values.extend(map(point.losses.__getitem__, ordered[of]))
        kinds.append(ordered[of])
    unique = list(dict.fromkeys(kinds))
    words = canonical_json([[point.step for point in losses], unique, [unique.index(of) for of in kinds]])
    return hashlib.sha256(words.encode() + values.tobytes()).hexdigest()

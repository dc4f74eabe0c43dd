"""The record of one scored run: what it is, what came out, what it cost, and where it was made.

`result` is what must be bit-identical whenever the same specs are run again on the same hardware; `costs` and
`provenance` are apart. Numbers are unrounded fractions in [0, 1]; rounding happens only in print.
"""

from __future__ import annotations

import math

from pydantic import Field

from benchmarks.spec import EvalSpec, TrainSpec
from benchmarks.values import Value

SCHEMA = 1
# What `contamination` may say besides what overlaps, and what a table makes of it.
UNSURE = "whether scored images were trained on is not known"
MARKS = {"": "", "none": "", "unknown": "training unknown", UNSURE: "images not checked"}


class Scores(Value):
    """What one confusion matrix says. None where a mean has no class to go over."""

    shift: float  # what was taken off the seen scores
    pacc: float | None
    miou_seen: float | None
    miou_unseen: float | None
    hiou: float | None
    fb_iou: float | None = None  # episodic items alone


class ClassCounts(Value):
    """Pixels of one class at the method's own shift, and the IoU under the protocol's rule (None: not averaged)."""

    name: str
    seen: bool
    tp: int
    fp: int
    fn: int
    iou: float | None


class LossPoint(Value):
    """Mean of each loss over the steps since the last point; "watched ..." are figures that are no losses."""

    step: int
    losses: dict[str, float]

    @property
    def total(self) -> float:
        """What was minimised: the sum of the losses, without what was only watched."""
        return math.fsum(value for name, value in self.losses.items() if not name.startswith("watched "))


class Result(Value):
    """The part that must repeat bit for bit."""

    train: TrainSpec
    evaluation: EvalSpec
    protocol_hash: str
    family_hash: str
    own: Scores  # at the method's own seen-score shift
    unshifted: Scores
    best: Scores  # at the shift with the highest hIoU on the scored images themselves: an oracle
    classes: tuple[ClassCounts, ...]
    images: int
    labelled_pixels: int
    ignored_pixels: int
    losses: tuple[LossPoint, ...] = ()
    confusion_sha256: str  # of the npz beside the record
    weights_sha256: str  # of the trained tensors
    clip_sha256: str = ""  # of the CLIP weights actually loaded
    body_sha256: str = ""  # of the file of ImageNet weights that its body began with; empty where they were drawn
    partial: bool = False  # part of the data, or a trial run
    # of imported weights: which unseen classes or scored images they were trained on; "none", or "unknown"
    contamination: str = ""

    @property
    def label(self) -> str:
        """The method as tables name it; a recipe that is not the paper's shows, and a training elsewhere."""
        if self.evaluation.transferred:
            return f"{self.train.method} ({'; '.join(self._transfer)})"
        drawn = " (drawn setting)" if self.evaluation.drawn else ""
        return f"{self._made}{drawn}{' (tuned on test)' if self.evaluation.tuned_on_test else ''}"

    @property
    def trained_on(self) -> str:
        """Benchmark and fold of the training where weights are scored elsewhere, else empty."""
        return f"{self.train.benchmark} fold {self.train.fold}" if self.evaluation.transferred else ""

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
        return self.train.method if recipe.name in ("paper", "none") else f"{self.train.method} ({recipe.name} recipe)"


class Costs(Value):
    """What the run took. Rates leave the warm-up out."""

    parameters_trainable: int
    parameters_total: int
    parameters_inference: int | None = None  # that run at test, frozen ones too; None: nobody counted them apart
    parameters_published: int | None = None  # trainable ones as the authors' code counts them, unused ones included
    gmacs: float | None = None  # of one pass at the stated size; None where it could not be counted
    gmacs_at: str = ""
    train_seconds: float = 0.0  # of the last attempt
    train_images_per_second: float | None = None
    eval_seconds: float = 0.0
    eval_images_per_second: float | None = None
    peak_memory_mib: float = 0.0  # resident set on a CPU, allocator on CUDA; of rank 0
    micro_batch: int = 0  # of a rank


class Provenance(Value):
    """Where and with what a record was made."""

    commit: str  # empty outside a git checkout
    dirty: bool
    sources_sha256: str  # of the method's own code that trained the weights
    packages: dict[str, str]
    python: str
    host: str
    device: str
    threads: int
    deterministic: bool
    nondeterministic: tuple[str, ...] = ()  # operations that torch warned of while the record was made
    started: str
    ended: str
    attempts: int
    code_sha256: str = ""  # of the copy of the code that a cluster job ran, frozen when it was submitted
    job: str = ""  # the cluster job
    ranks: tuple[str, ...] = ()  # machine and device of each process that trained, where there were several


class RunRecord(Value):
    """One scored run as stored."""

    schema_version: int = Field(default=SCHEMA)
    result: Result
    costs: Costs
    provenance: Provenance

    def same_result(self, other: RunRecord) -> bool:
        """Bit-identical in the part that must repeat.

        All its numbers count, the hash of the file of matrices does not: one array more there (`store.confusion`) or
        another packer makes another file of the same counts.
        """
        mine, theirs = (r.result.model_copy(update={"confusion_sha256": ""}) for r in (self, other))
        return mine.digest() == theirs.digest()

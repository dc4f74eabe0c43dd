"""What identifies a run: `TrainSpec` (what to train) and `EvalSpec` (how to score it). Their keys name the folders.

What cannot change a result (workers, cluster, folders) is in neither; thread count, device kind and package versions
go into provenance. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from benchmarks.choices import Precision
from benchmarks.protocol import EvalSide, Protocol, TrainSide
from benchmarks.training.augmentation import Augmentation
from benchmarks.values import Value, explain
from splits.errors import UserError

Beta = Annotated[float, Field(ge=0, lt=1)]  # share of a running mean that a step keeps


class ClipId(Value):
    """Which CLIP. A local or built-in file is identified by its content, a hub's weights by name and tag."""

    model: str
    """open_clip's model name, e.g. "ViT-B-16"."""
    pretrained: str
    """open_clip's tag, "builtin", or "file"."""
    sha256: str = ""
    """Of the file, where it is known before loading."""
    config_sha256: str = ""
    """Of what the `open_clip_config.json` beside a local file says; empty where none came with it."""


def clip_words(clip: ClipId | None) -> str:
    """A CLIP as tables name it: `model/pretrained`, with the starts of the sha256s of its file and its config."""
    if clip is None:
        return "none"
    config = f"+{clip.config_sha256[:8]}" if clip.config_sha256 else ""
    return f"{clip.model}/{clip.pretrained}" + (f"@{clip.sha256[:8]}{config}" if clip.sha256 else "")


class Recipe(Value):
    """How a method is trained: data, not code."""

    name: str
    """Shown in tables, e.g. "paper" or "shapes"."""
    iterations: int = Field(ge=0)
    """Training steps."""
    batch: int = Field(ge=1)
    """Effective batch over all ranks and micro-batches."""
    augmentation: Augmentation
    """What happens to a training sample."""
    lr: float = Field(gt=0)
    """The learning rate at its highest."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decay."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """AdamW's betas."""
    poly_power: float = Field(default=0.9, ge=0)
    """Power of the polynomial decay."""
    min_lr: float = Field(default=0.0, ge=0)
    """The rate that the decay ends at."""
    warmup_iterations: int = Field(default=0, ge=0)
    """Iterations of the linear warm-up."""
    warmup_ratio: float = Field(default=1e-6, ge=0, le=1)
    """The share of the rate that the warm-up begins with."""
    decay: Literal["overlaid", "after-warmup"] = "overlaid"
    """"overlaid": poly from the first iteration, warm-up multiplied in (mmcv's hook; released ZegCLIP).
    "after-warmup": poly over the iterations behind the warm-up (mmengine; the configs of mmsegmentation 1.x).
    """
    restart_at: int | None = Field(default=None, ge=1)
    """Self-training: fresh optimiser and schedule for the rest."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Precision of the training, as Lightning Fabric names it."""
    tf32: bool = False
    """On CUDA, factors of the training's float32 products are rounded to 10 bits."""
    compiled: bool = False
    """The losses go through torch.compile: rounded otherwise, dropout drawn otherwise."""
    ranks: int = Field(default=1, ge=1)
    """Processes that share each batch: sums are rounded, dropout is drawn otherwise."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches that each rank's share is cut into, gradients added up."""

    @model_validator(mode="after")
    def _equal_shares(self) -> Self:
        if self.batch % self.ranks:
            raise ValueError(f"a batch of {self.batch} cannot be shared equally by {self.ranks} ranks")
        if self.batch % (self.ranks * self.accumulate):
            share = self.batch // self.ranks
            raise ValueError(f"a rank's {share} images of a batch cannot be cut into {self.accumulate} micro-batches")
        return self

    @property
    def micro_batch(self) -> int:
        """Images that a rank has in hand at once."""
        return self.batch // (self.ranks * self.accumulate)

    def shortened(self, iterations: int | None) -> Recipe:
        """The recipe cut to at most so many iterations, a restart at the same share of them."""
        if iterations is None or iterations >= self.iterations:
            return self
        restart = None if self.restart_at is None else max(1, -(-self.restart_at * iterations // self.iterations))
        return self.model_copy(update={"iterations": iterations, "restart_at": restart})


class TrainSpec(Value):
    """One job: what to train. Same spec, same weights."""

    method: str
    """Its name in the registry."""
    config: dict[str, Any] = {}
    """The method's settings that are not at their default."""
    benchmark: str
    """Its name in the catalogue."""
    fold: int = Field(ge=0)
    """Index of the fold."""
    seed: int = Field(ge=0)
    """Seed of everything that is drawn."""
    side: TrainSide
    """The side of the protocol."""
    clip: ClipId | None = None
    """None for methods that use none."""
    recipe: Recipe
    """How it is trained."""
    limit: int | None = Field(default=None, ge=1)
    """A trial run: this many images and iterations at most."""
    weights: str = ""
    """sha256 of the file whose weights are scored instead of training."""
    predictions: str = ""
    """sha256 over the stored predictions of another system that are scored; `method` names it."""
    reading: str = ""
    """Name of the constants that replaced the recipe's (`--reading`)."""

    @property
    def folder(self) -> str:
        """The run's folder below the root of runs."""
        return f"{self.benchmark}/{self.method}/fold{self.fold}-seed{self.seed}-{self.key}"


class EvalSpec(Value):
    """How finished weights are scored."""

    benchmark: str
    """Its name in the catalogue."""
    fold: int = Field(ge=0)
    """Index of the fold."""
    part: str = "val"
    """The part that is scored."""
    side: EvalSide
    """The side of the protocol."""
    limit: int | None = Field(default=None, ge=1)
    """A trial run: so many images at most."""
    tuned_on_test: bool = False
    """Settings were compared on these very images: no result."""
    precision: Precision = "float32"
    """What the forward pass is computed in; class scores and all after them are float32. "tf32": on CUDA alone."""
    drawn: bool = False
    """A setting drawn to see how much our own constants matter: in no table."""
    labelled: tuple[str, ...] | None = None
    """Of weights that were trained on another benchmark or fold: those of the classes that were labelled there, by
    whatever name; a method takes its shift off these. None: scored where they were trained, the seen ones are.
    """

    @model_validator(mode="after")
    def _labelled_classes(self) -> Self:
        if self.labelled is not None and (strange := set(self.labelled) - set(self.side.classes)):
            raise ValueError(f"labelled classes that are not scored: {sorted(strange)}")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is no transfer, no draw and of full precision is stored as it was before there were any."""
        plain, later = handler(self), {"labelled": None, "drawn": False, "precision": "float32"}
        return {name: value for name, value in plain.items() if name not in later or value != later[name]}

    @property
    def transferred(self) -> bool:
        """Are weights scored elsewhere than they were trained?"""
        return self.labelled is not None


def protocol_of(train: TrainSpec, evaluation: EvalSpec) -> Protocol:
    """The protocol under which this pair of specs yields a number. Raises UserError where it yields none."""
    try:
        return Protocol(train=train.side, evaluation=evaluation.side)
    except ValidationError as error:
        raise UserError(f"{train.benchmark}: no protocol: {explain(error)}") from None

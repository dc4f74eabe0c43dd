"""Weights that bodies begin with: which a method's config names. No torch.

ImageNet's for photos; for the built-in world and its body small the files that come with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shapes.body import files as shipped
from benchmarks.spec import TrainSpec
from methods.config import MethodConfig
from results.launch.plan.weight_cards import refused_by_kind
from splits.errors import UserError

NONE, PUBLISHED, WITHOUT_UNSEEN = "none", shipped.PUBLISHED, shipped.WITHOUT_UNSEEN
SMALL = "small"  # the body whose weights come with the built-in world


@dataclass(frozen=True)
class BodyWeights:
    """Weights that a run's body begins with."""

    body: str
    source: str  # a file, a URL, or "published"

    def __str__(self) -> str:
        return f"the weights of {self.body} ({self.source})"

    @property
    def is_file(self) -> bool:
        """Given by their path."""
        return self.source != PUBLISHED and not re.match(r"(https?|file)://", self.source)


def weights_of(spec: TrainSpec, config: MethodConfig) -> BodyWeights | None:
    """What a run's body begins with; None where the method has no body, or one that is drawn."""
    source = getattr(config, "body_weights", NONE)
    if source == NONE:
        return None
    body = getattr(config, "body", "")
    if body == SMALL and source in (PUBLISHED, WITHOUT_UNSEEN):
        source = str(shipped.weights_file(source, spec.fold))
    return BodyWeights(body, source)


def with_files(spec: TrainSpec, config: MethodConfig) -> MethodConfig:
    """A run's config with the path of its body's weights where they come with the built-in world."""
    weights = weights_of(spec, config)
    return config if weights is None else config.model_copy(update={"body_weights": weights.source})


def without_weights(config: MethodConfig) -> MethodConfig:
    """A config whose body begins with nothing, statistics included: its trained state is loaded over it.

    A frozen body, which has no BatchNorm to choose for, keeps its weights: no trained state holds them.
    """
    if getattr(config, "body_weights", NONE) == NONE or not hasattr(config, "body_batch_norm"):
        return config
    return config.model_copy(update={"body_weights": NONE, "body_batch_norm": "local"})


def check(method: str, bench: str, config: MethodConfig) -> None:
    """Raise UserError for weights that this body has not on this benchmark, or that lie in no such file."""
    source, body = getattr(config, "body_weights", NONE), getattr(config, "body", "")
    if body == SMALL and source in (PUBLISHED, WITHOUT_UNSEEN):
        if bench != shipped.BENCHMARK:
            raise UserError(
                f"{method}: the weights {source!r} of the body {SMALL} are for {shipped.BENCHMARK}, not for {bench}; "
                f"set {method}.body_weights={NONE}, or choose another body"
            )
    elif source == WITHOUT_UNSEEN:
        raise UserError(
            f"{method}: weights {WITHOUT_UNSEEN!r} are there for the body {SMALL} on {shipped.BENCHMARK} alone; give a "
            f"file, a URL, {PUBLISHED!r} or {NONE!r}"
        )
    elif source != NONE and BodyWeights(body, source).is_file:
        if not Path(source).is_file():
            raise UserError(
                f"{method}: there is no file of body weights {source}; give a file, a URL, {PUBLISHED!r} or {NONE!r}"
            )
        refused_by_kind(Path(source), f"{method}: body weights")

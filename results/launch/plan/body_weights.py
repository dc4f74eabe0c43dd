"""ImageNet weights that bodies begin with: which a method's config names. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from methods.config import MethodConfig
from splits.errors import UserError

NONE, PUBLISHED = "none", "published"


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


def weights_of(config: MethodConfig) -> BodyWeights | None:
    """What a method's config names; None where it has no body, or one that is drawn."""
    source = getattr(config, "body_weights", NONE)
    return None if source == NONE else BodyWeights(getattr(config, "body", ""), source)


def check(method: str, config: MethodConfig) -> None:
    """Raise UserError where the weights are to come from a file that is not there."""
    weights = weights_of(config)
    if weights is not None and weights.is_file and not Path(weights.source).is_file():
        raise UserError(
            f"{method}: there is no file of body weights {weights.source}; give a file, a URL, {PUBLISHED!r} or "
            f"{NONE!r}"
        )

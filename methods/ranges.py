"""Ranges: over which values `sensitivity` draws a constant that is no author's. No torch.

A range says within which values nobody could call a constant a mistake: it is our judgement, as the constant is. It is
kept apart from the configs, in a method's entry, so that another range makes no stored run stale. A constant is ours
where the authors are silent (a *reading*), and where a recipe of ours sets another value than they print
(`published=True`).
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from methods.config import MethodConfig


@dataclass(frozen=True)
class Between:
    """From `low` to `high`, both included; whole numbers where both ends are."""

    low: int | float
    high: int | float
    log: bool = False  # even in the logarithm
    published: bool = False  # the field's default is an author's: drawn only where a recipe sets another value

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high, and above 0 with log; got {self.low} and {self.high}")

    def words(self) -> str:
        """For the lines under a table."""
        return f"{self.low:.3g} to {self.high:.3g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Around:
    """From a `factor`-th to `factor` times the value that the run would have, even in the logarithm.

    For weights and rates: what is plausible depends on the benchmark's recipe, which sets them.
    """

    factor: float
    published: bool = False

    def __post_init__(self) -> None:
        if not self.factor > 1:
            raise ValueError(f"expected a factor above 1, got {self.factor}")

    def at(self, value: Any) -> Between | None:
        """The values around this one, whole where it is; None around 0 or None: what is off stays off.

        Raises ValueError around what has no multiples, or is negative.
        """
        if value is None or value == 0:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"Around needs a positive number, this run has {value!r}")
        low, high = value / self.factor, value * self.factor
        if isinstance(value, int):
            low, high = max(1, math.ceil(low)), math.floor(high)
        return Between(low, high, log=True) if low < high else None


@dataclass(frozen=True)
class OneOf:
    """One of these, each as likely."""

    values: tuple[Any, ...]
    published: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or len(self.values) < 2:
            raise ValueError(f"expected a tuple of two values or more, got {self.values!r}")

    def words(self) -> str:
        """For the lines under a table."""
        return "one of " + ", ".join(map(str, self.values))


Declared = Between | Around | OneOf
Resolved = Between | OneOf


def to_draw(
    ranges: Mapping[str, Declared], config: MethodConfig, chosen: Container[str] = frozenset()
) -> dict[str, Resolved]:
    """Field -> its values, for a run that would have this config. chosen: fields that somebody set: they stay.

    Raises ValueError, one line, for a range that is none, or does not fit the config.

    >>> from methods.training_free.floors_config import RandomConfig
    >>> to_draw({"cell": Around(2)}, RandomConfig(cell=8))
    {'cell': Between(low=4, high=16, log=True, published=False)}
    """
    found: dict[str, Resolved] = {}
    for name, declared in ranges.items():
        if name not in type(config).model_fields:
            raise ValueError(f"its ranges name {name!r}, which is no field of its config")
        if not isinstance(declared, Declared):
            raise ValueError(f"its range of {name!r} is no Between, Around or OneOf: {declared!r}")
        value = getattr(config, name)
        if name in chosen or (declared.published and value == type(config).model_fields[name].default):
            continue
        resolved = declared.at(value) if isinstance(declared, Around) else declared
        if resolved is not None:
            found[name] = resolved
    return found


# Ranges that several methods share.
HEADS: Final = (1, 2, 4, 8)  # divide the width of every CLIP there is
TEMPERATURE: Final = Between(0.03, 0.2, log=True)  # what contrastive methods use, MoCo's .07 in the middle
NEL: Final[dict[str, Declared]] = {
    "focal_weight": Around(3),
    "dice_weight": Around(3),
    "focal_alpha": Between(0.1, 0.5),  # .5: no class balance
    "focal_gamma": Between(1.0, 3.0),
}

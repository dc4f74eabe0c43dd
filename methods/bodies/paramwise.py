"""Other rates and decays for parts of a body, as mmsegmentation's configs give them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paramwise:
    """Which parameters have another rate or decay, by a part of their name (mmengine's `custom_keys`).

    The longest key that a name contains decides, among equally long ones the alphabetically first.
    """

    lr_scale: Mapping[str, float] = field(default_factory=dict)  # times the recipe's learning rate
    no_decay: tuple[str, ...] = ()  # weight decay 0

    def of(self, name: str) -> tuple[float, bool]:
        """The factor of the rate and whether weights decay, for a parameter of this name."""
        for key in sorted(sorted({*self.lr_scale, *self.no_decay}), key=len, reverse=True):
            if key in name:
                return self.lr_scale.get(key, 1.0), key not in self.no_decay
        return 1.0, True

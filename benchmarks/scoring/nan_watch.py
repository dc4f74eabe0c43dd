"""Scores of NaN, among which nothing is best: noticed at once on a CPU, elsewhere without a wait for each image."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.method import Method, Vocabulary
from methods.returned import place_of
from splits.errors import Diverged


class NanWatch:
    """Asked about every score of a pass."""

    def __init__(self, method: Method):
        self._trained = any(parameter.requires_grad for parameter in method.parameters())
        self._method = f"{place_of(method, 'scores')}{type(method).__name__}"
        self._kept: list[tuple[tuple[str, ...], Tensor]] = []  # names, and whether a score among them is NaN

    def note(self, vocabulary: Vocabulary, classes: list[int], scores: Tensor) -> None:
        """Look at the best scores of some classes. Raises UserError for NaN: on a CPU now, elsewhere in `check`."""
        self._kept.append((tuple(vocabulary.names[index] for index in classes), scores.isnan().any()))
        if scores.device.type == "cpu":
            self.check()

    def check(self) -> None:
        """Raises Diverged where a score since the last call was NaN. Waits for the device."""
        kept, self._kept = self._kept, []
        if not kept:
            return
        found = torch.stack([flag for _, flag in kept]).cpu()
        for (names, _), broken in zip(kept, found.tolist(), strict=True):
            if broken:
                cure = "the weights are broken: train anew with a lower learning rate or 32-true precision"
                if not self._trained:
                    cure = "nothing was trained here: look after the CLIP's file and the config beside it"
                raise Diverged(f"{self._method}: scores among {', '.join(names)} are NaN; {cure}")

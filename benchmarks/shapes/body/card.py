"""The card beside a file of body weights: its hash, what it learnt and how well, and the recipe behind it."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.shapes.world import BODY_PARTS
from splits.hashing import file_sha256

PREFIX: Final = 12  # steps whose losses the card keeps: a short training is compared with them
_HOW: Final = "share of single-object 64-pixel pictures whose name is scored highest among the version's names"


def write_card(
    weights: Path, names: Sequence[str], recipe: dict[str, Any], losses: Sequence[float], accuracy: float, seconds: int
) -> dict[str, Any]:
    """Write the card of a file beside it and return it."""
    card = {
        "sha256": file_sha256(weights),
        "names": list(names),
        "accuracy": accuracy,
        "measured": _HOW,
        "parts": {name: {"seed": part.seed} for name, part in BODY_PARTS.items()},
        "recipe": recipe,
        "core_seconds": seconds,
        "first_losses": list(losses[:PREFIX]),
        "last_losses_mean": sum(losses[-50:]) / len(losses[-50:]),
        "made_on": machine(),
    }
    weights.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return card


def machine() -> dict[str, str]:
    """What decides the last bits of a training on one core."""
    return {
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.partition("+")[0],
    }

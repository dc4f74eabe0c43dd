"""The card beside the weights: their hash, what they were measured to know and how, and the recipe behind them."""

import json
from pathlib import Path
from typing import Any

from benchmarks.shapes.captions import TEMPLATES
from benchmarks.shapes.clip.measure import figures
from benchmarks.shapes.clip.tower import MODEL, create
from benchmarks.shapes.world import CLIP_PARTS
from splits.hashing import file_sha256

_HOW = {
    "top1_64": "share of single-object 64-pixel pictures whose CLS token is nearest to the text of their own name",
    "dense_miou_64": "mean IoU over 20 classes, background ignored: plain projected tokens against the names' texts, "
    "cosines upsampled bilinearly, 64-pixel scenes (8 x 8 tokens, positions interpolated)",
    "dense_miou_96": "the same on 96-pixel scenes (12 x 12 tokens)",
    "texts": "mean over the templates, normalised",
}


def write_card(weights: Path, run: dict[str, Any]) -> Path:
    """Measures a weights file as it is on disk and writes `weights.json` beside it; `run` says how it was trained."""
    check = CLIP_PARTS["check"]
    card = {
        "model": MODEL,
        "sha256": file_sha256(weights),
        "figures": figures(create(weights)),
        "measured": {"seed": check.seed, "count": check.count, "templates": list(TEMPLATES), **_HOW},
        "training": run,
    }
    path = weights.with_suffix(".json")
    path.write_text(json.dumps(card, indent=2) + "\n")
    return path

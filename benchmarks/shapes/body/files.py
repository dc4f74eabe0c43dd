"""The shipped weights by version: one that knows all names, and for each fold one without its unseen names. No torch.

`PUBLISHED` and `WITHOUT_UNSEEN` are what `body_weights` says for the two kinds.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

from splits.loader import load_split

FOLDER: Final = Path(__file__).parent
BENCHMARK: Final = "shapes-5i"
PUBLISHED: Final = "published"
WITHOUT_UNSEEN: Final = "without-unseen"
KINDS: Final = (PUBLISHED, WITHOUT_UNSEEN)
VERSIONS: Final = (PUBLISHED, *(f"{WITHOUT_UNSEEN}-{fold}" for fold in range(4)))


def weights_file(source: str, fold: int) -> Path:
    """The weights file of a kind for a fold of the built-in world."""
    return FOLDER / f"{source if source == PUBLISHED else f'{source}-{fold}'}.safetensors"


@cache
def shipped_sha256(source: str, fold: int) -> str:
    """The hash of that file, as its card has it."""
    return json.loads(weights_file(source, fold).with_suffix(".json").read_text(encoding="utf-8"))["sha256"]


def names_of(version: str) -> tuple[str, ...]:
    """The names that a version learns, alphabetical: all of them, or those that are seen in its fold."""
    split = load_split(BENCHMARK)
    if version == PUBLISHED:
        return split.classes
    unseen = split.fold(int(version.removeprefix(f"{WITHOUT_UNSEEN}-"))).unseen
    return tuple(name for name in split.classes if name not in unseen)

"""What files of weights are called. No torch: planning asks it of paths before anything is read."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

ENDINGS: Final = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pth.tar")


def has_weight_ending(path: PurePath) -> bool:
    """Does a file's name end as those of weights do, in small or large letters?

    >>> [has_weight_ending(PurePath(name)) for name in ("a.PTH", "epoch_3.pth.tar", "laion2b_s34b_b79k")]
    [True, True, False]
    """
    return path.name.lower().endswith(ENDINGS)

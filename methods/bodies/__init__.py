"""Segmentation bodies: what the distillation methods train. The only part of the project that knows mmsegmentation."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from methods.bodies.body import Body
from methods.bodies.small import SmallBody
from methods.configs.bodies import BodyName

__all__ = ["Body", "build_body"]


def build_body(name: str, *, out_channels: int, weights: str | Path | None = "none") -> Body:
    """Build a body whose features have `out_channels` channels, with random parts drawn from torch's generator.

    weights: ImageNet weights of its backbone as a file or a URL; "none" or None: from scratch.

    Raises ValueError, FileNotFoundError or ConnectionError, each with one line that says what to do.
    """
    if name not in get_args(BodyName):
        raise ValueError(f"no body is called {name!r}; there are: {', '.join(get_args(BodyName))}")
    if name != "small":
        raise ValueError(f"the body {name} cannot be built yet")
    if weights not in (None, "none"):
        raise ValueError(f"the body small has no published weights: weights must be 'none'; got {str(weights)!r}")
    return SmallBody(name=name, out_channels=out_channels)

"""Configs of the two floors."""

from pydantic import Field

from methods.config import MethodConfig


class ConstantConfig(MethodConfig):
    """Nothing to choose."""


class RandomConfig(MethodConfig):
    """Scores without knowledge."""

    cell: int = Field(default=8, ge=1)  # side in pixels of the squares that share one draw; ours, for speed

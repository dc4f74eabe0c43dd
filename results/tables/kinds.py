"""Which tables there are, by the name of the option `--show`. Imports nothing, so that a parser may have it."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["main", "ablations", "classes", "costs", "published", "calibrated"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT: tuple[Kind, ...] = ("main", "calibrated", "ablations", "published")

"""Which tables there are, by the name of the option `--show`. Imports nothing, so that a parser may have it."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["main", "sets", "ablations", "appendix", "classes", "costs", "published", "calibrated"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RESULTS: tuple[Kind, ...] = ("main", "sets", "calibrated", "ablations", "published")
DEFAULT: tuple[Kind, ...] = (*RESULTS, "appendix")  # of the command

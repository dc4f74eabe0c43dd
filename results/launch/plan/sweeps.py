"""Sweeps: from values for settings to one list of overrides for each run. Imports no torch.

A sweep file:

    draw = "random"        # or "grid": every combination of the lists
    n = 20                 # settings to draw
    seed = 0

    [values]
    "zegclip.prompt_tokens" = [10, 50, 100]
    "recipe.lr" = { low = 1e-4, high = 1e-2, log = true }   # random alone; whole numbers where both ends are
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from benchmarks.catalogue import benchmark
from benchmarks.toml import read_toml
from benchmarks.values import Value, derive_seed
from results.launch.plan.checks import is_test
from results.launch.plan.request import Request
from splits.errors import UserError

Overrides = tuple[str, ...]  # as of --set
Plain = bool | int | float | str | tuple[float, ...]

MOST = 100_000  # settings of one sweep
WHOLE = 2**53  # whole numbers up to here have a float of their own


class Range(Value):
    """Values between two ends, both included."""

    low: int | float
    high: int | float
    log: bool = False  # even in the logarithm

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if max(abs(self.low), abs(self.high)) > WHOLE:
            raise ValueError(f"expected ends within +-2^53, got {self.low} and {self.high}")
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high, and above 0 with log; got {self.low} and {self.high}")
        return self

    def draw(self, rng: np.random.Generator) -> int | float:
        """One value; a whole number where both ends are."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        if whole and not self.log:
            return int(rng.integers(int(self.low), int(self.high), endpoint=True))
        if not self.log:
            return float(rng.uniform(self.low, self.high))
        value = math.exp(float(rng.uniform(math.log(self.low), math.log(self.high))))
        return round(value) if whole else value


class Sweep(Value):
    """What a sweep file says."""

    draw: Literal["grid", "random"] = "grid"
    n: int | None = Field(default=None, ge=1, le=MOST)
    seed: int = Field(default=0, ge=0)
    values: dict[str, tuple[Plain, ...] | Range] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.draw == "random") != (self.n is not None):
            raise ValueError('`n` says how many settings to draw: it belongs to draw = "random", which needs it')
        for name, values in self.values.items():
            if self.draw == "grid" and isinstance(values, Range):
                raise ValueError(f"{name}: a grid needs a list of values")
            if not isinstance(values, Range) and not values:
                raise ValueError(f"{name}: no value")
        return self

    def settings(self) -> tuple[Overrides, ...]:
        """Overrides of each run; those of a random sweep follow from its seed, each setting from its own stream."""
        if self.draw == "grid":
            return combinations({n: v for n, v in self.values.items() if not isinstance(v, Range)})
        assert self.n is not None, "validated"
        streams = {name: np.random.default_rng(derive_seed("sweep", self.seed, name)) for name in self.values}
        return tuple(
            tuple(override(name, _drawn(values, streams[name])) for name, values in self.values.items())
            for _ in range(self.n)
        )


def combinations(values: Mapping[str, tuple[Plain, ...]]) -> tuple[Overrides, ...]:
    """Every combination, the last setting varying fastest; raises UserError where they are more than `MOST`.

    >>> combinations({"a.x": (1, 2), "b.y": ("on",)})
    (('a.x=1', 'b.y="on"'), ('a.x=2', 'b.y="on"'))
    """
    if (many := math.prod(map(len, values.values()))) > MOST:
        raise UserError(f"a sweep over {many:,} combinations; expected at most {MOST:,}")
    named = ([override(name, value) for value in chosen] for name, chosen in values.items())
    return tuple(itertools.product(*named))


def override(name: str, value: Plain) -> str:
    """A value of a setting, as `--set` takes it."""
    return f"{name}={json.dumps(value)}"


def settings_of(lists: Sequence[str], file: Path | None) -> tuple[Overrides, ...]:
    """The settings that lists of values (`method.field=1,2`) or a file sweep over. Raises UserError, one line."""
    if lists and file:
        raise UserError("give --sweep or --sweep-file, not both")
    if file:
        return read_sweep(file).settings()
    values = [_listed(text) for text in lists]
    names = [text.partition("=")[0] for text in lists]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--sweep {min(twice)}: stands there twice; write all its values in one")
    if (many := math.prod(map(len, values))) > MOST:
        raise UserError(f"--sweep: {many:,} combinations; expected at most {MOST:,}")
    return tuple(itertools.product(*values)) if values else ()


def expanded(request: Request) -> Iterator[Request]:
    """A request for each setting of a sweep.

    Raises UserError where settings would be compared on test images without anything saying so.
    """
    refuse_test(request)
    for drawn in request.sweep:
        yield replace(request, overrides=(*request.overrides, *drawn), sweep=())


def refuse_test(request: Request) -> None:
    """Raise UserError where settings would be compared on test images without anything saying so."""
    on_test = [name for name in request.benchmarks if is_test(benchmark(name), request.part)]
    if on_test and not request.tune_on_test:
        raise UserError(
            f"settings would be compared on what they are scored on, which must not be {on_test[0]}'s val part: give "
            "--part tune (shapes-5i), a benchmark that ends in -tune, or --tune-on-test, which marks every record"
        )


def read_sweep(path: Path) -> Sweep:
    """A sweep file; raises UserError for what is none."""
    return Sweep.parse(read_toml(path, "--sweep-file"), source=str(path))


def _listed(text: str) -> list[str]:
    name, equals, values = text.partition("=")
    if not (equals and name and values) or not all(values.split(",")):
        raise UserError(f"--sweep {text}: expected METHOD.SETTING=A,B,C or recipe.SETTING=A,B,C")
    return [f"{name}={value}" for value in values.split(",")]


def _drawn(values: tuple[Plain, ...] | Range, rng: np.random.Generator) -> Plain:
    return values.draw(rng) if isinstance(values, Range) else values[int(rng.integers(len(values)))]

"""Runs of settings that are drawn from the ranges of a method's own constants, for `sensitivity`.

It is a random sweep in which nothing is chosen, and keeps a sweep's rule: scored on what is no test, or marked.
Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from benchmarks.catalogue import benchmark
from methods.ranges import Between, Resolved, to_draw
from methods.registry import METHODS, entry
from results.launch.plan.readings import reading_of
from results.launch.plan.request import Draw, Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.settings import RECIPE_NAMESPACE, check_overrides, config_of
from results.launch.plan.sweeps import Range, Sweep, refuse_test
from splits.errors import UserError


@dataclass(frozen=True)
class Variation:
    """One method on one benchmark: its runs as it is, and those of each drawn setting."""

    method: str
    benchmark: str
    part: str
    folds: tuple[int, ...]
    default: tuple[Run, ...]
    settings: tuple[tuple[dict[str, Any], tuple[Run, ...]], ...] = ()  # drawn values, runs
    ranges: dict[str, str] | None = None


def in_turn(variations: Sequence[Variation]) -> list[Run]:
    """Every run once: as they are, then the first setting of each, then the second: stopped early, all have some."""
    turns = zip_longest(*((one.default, *(runs for _, runs in one.settings)) for one in variations), fillvalue=())
    every = (run for turn in turns for runs in turn for run in runs)
    return list({(run.train.digest(), run.evaluation.digest()): run for run in every}.values())


def variations_of(request: Request, draw: Draw) -> Iterator[Variation]:
    """The runs of each method on each benchmark. Raises UserError where there is nothing to draw.

    request: its part may be empty, for the tune part of each benchmark that has one.
    """
    check_overrides(request.overrides, request.methods)
    for name in dict.fromkeys(request.benchmarks):
        bench = benchmark(name)
        usual = "val" if request.tune_on_test or "tune" not in bench.parts else "tune"
        here = replace(request, benchmarks=(name,), part=request.part or usual)
        refuse_test(here)
        folds = here.folds if here.folds is not None else tuple(fold.index for fold in bench.split.folds)
        for method in request.methods:
            alone = replace(here, methods=(method,), overrides=_of(request.overrides, method))
            plain = Variation(method, name, here.part, tuple(folds), default=tuple(plan(alone)))
            if method not in draw.methods:
                yield plain
                continue
            ranges = ranges_of(method, plain.default[0], _chosen(method, alone))
            settings = tuple((values, _runs_of(alone, values)) for values in draws(method, ranges, draw.n, draw.seed))
            yield replace(plain, settings=settings, ranges={field: span.words() for field, span in ranges.items()})


def _chosen(method: str, request: Request) -> set[str]:
    """Fields of a method that were set by hand, or by a reading."""
    targets = (override.partition("=")[0].partition(".") for override in request.overrides)
    reading = reading_of(method, request.readings)
    # the recipe has fields of the same names
    return {field for owner, _, field in targets if owner == method} | set(reading.constants if reading else ())


def ranges_of(method: str, run: Run, chosen: Set[str] = frozenset()) -> dict[str, Resolved]:
    """What is drawn of a method in place of this run's values, but for chosen fields. Raises UserError for nothing."""
    known = entry(method)
    if not known.ranges:
        others = ", ".join(name for name, e in METHODS.items() if e.ranges and e.group == "comparison")
        raise UserError(f"sensitivity {method}: no constant of it has a registered range; those of {others} have")
    try:
        found = to_draw(known.ranges, config_of(run.train), chosen | known.fixed.keys())
    except ValueError as error:
        raise UserError(f"sensitivity {method}: {error}") from None
    if not found:
        raise UserError(
            f"sensitivity {method}: on {run.train.benchmark} each of its constants is an author's or was set: "
            "nothing to draw"
        )
    return found


def draws(method: str, ranges: dict[str, Resolved], n: int, seed: int) -> list[dict[str, Any]]:
    """n settings, config field -> value; the first ones are those of any smaller n, each field has its own stream."""
    values = {f"{method}.{field}": _as_sweep(span) for field, span in ranges.items()}
    settings = Sweep(draw="random", n=n, seed=seed, values=values).settings()
    parted = [[text.partition("=") for text in setting] for setting in settings]
    return [{name.partition(".")[2]: json.loads(value) for name, _, value in setting} for setting in parted]


def _as_sweep(span: Resolved) -> Range | tuple[Any, ...]:
    return Range(low=span.low, high=span.high, log=span.log) if isinstance(span, Between) else span.values


def _of(overrides: Sequence[str], method: str) -> tuple[str, ...]:
    """The overrides that have to do with a method."""
    owners = {method, RECIPE_NAMESPACE} if entry(method).trained else {method}
    return tuple(override for override in overrides if override.partition(".")[0] in owners)


def _runs_of(request: Request, values: dict[str, Any]) -> tuple[Run, ...]:
    (method,) = request.methods
    overrides = tuple(f"{method}.{field}={json.dumps(value)}" for field, value in values.items())
    runs = plan(replace(request, overrides=(*request.overrides, *overrides)))
    return tuple(Run(run.train, run.evaluation.model_copy(update={"drawn": True})) for run in runs)

"""How a request changes the recipes that it began from: printed before anything is made. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.catalogue import benchmark
from benchmarks.recipes import CUSTOM, NOTHING, PAPER, without_recipe
from benchmarks.spec import Recipe, TrainSpec
from benchmarks.values import canonical_json
from methods.config import MethodConfig
from methods.registry import config_class
from results.launch.plan.readings import reading_of
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import scale_of
from results.launch.plan.settings import config_of, settings_for
from splits.errors import UserError

WHOSE = {
    PAPER: "the paper's recipe",
    "reading": "the paper's recipe as it is read",
    "followers'": "its followers' recipe",
    "shapes": "the harness's own shapes recipe",
    "long": "the harness's own long recipe",
    "trial": "the harness's own trial recipe",
    CUSTOM: "its own recipe",
}  # any other name stands for itself: "zegclip's recipe"


def recipe_changes(request: Request, runs: Sequence[Run]) -> Iterator[str]:
    """A line for each method on each benchmark that would be trained otherwise than its recipe says: every field that
    differs, with both values. Also a line for each that has no recipe.

    The recipe is that of the method, benchmark, scale and setting without `--set`, `--sweep`, `--reading`, `--limit`,
    `--ranks` and `--accumulate`.
    """
    if request.weights:
        return  # nothing is trained
    groups: dict[tuple[str, str], dict[Any, TrainSpec]] = {}
    for spec in (run.train for run in runs):  # seeds and folds are trained alike
        alike = spec.recipe, canonical_json(spec.config), spec.limit
        groups.setdefault((spec.method, spec.benchmark), {})[alike] = spec
    plain = replace(request, overrides=(), sweep=(), readings=(), limit=None, ranks=1, accumulate=1)
    for (method, name), specs in groups.items():
        scale = scale_of(benchmark(name), request.clip, request)
        try:
            config, recipe = settings_for(method, name, scale, plain)
        except UserError:
            continue  # a custom method that has no defaults
        if recipe.name == NOTHING:
            continue
        if line := without_recipe(method, name):
            yield line
        began = _fields(recipe, None, method, config_class(method).model_validate(config))
        found = [_fields(s.recipe.shortened(s.limit), s.limit, method, config_of(s)) for s in specs.values()]
        if changes := list(_changes(began, found)):
            whose = WHOSE.get(recipe.name, f"{recipe.name} recipe")
            reading = reading_of(method, request.readings)
            read = f"is read by {reading.name!r} and " if reading else "is "
            yield f"{method} on {name} {read}changed from {whose}: {', '.join(changes)}"


def _changes(began: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """`field old -> new` of every field that differs anywhere; of a sweep `field old -> one | another`."""
    names = dict.fromkeys(name for fields in (began, *found) for name in fields)
    for name in names:
        values = list(dict.fromkeys(_words(fields.get(name)) for fields in found))
        if values != [_words(began.get(name))]:
            yield f"{name} {_words(began.get(name))} -> {' | '.join(values)}"


def _fields(recipe: Recipe, limit: int | None, method: str, config: MethodConfig) -> dict[str, Any]:
    """Everything a training is made with: the recipe's fields, those of its parts, the method's as `method.field`."""
    fields = recipe.model_dump(mode="json", exclude={"name"})
    nested = {name: value for name, value in fields.items() if isinstance(value, dict)}
    flat = {f"{name}.{field}": value for name, part in nested.items() for field, value in part.items()}
    images = {"images": "all" if limit is None else limit}
    settings = {f"{method}.{field}": value for field, value in config.model_dump(mode="json").items()}
    return {name: value for name, value in fields.items() if name not in nested} | flat | images | settings


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

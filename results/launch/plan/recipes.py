"""Which recipe a method has on a benchmark, those that people bring included. Imports no torch."""

from __future__ import annotations

from typing import Any

from benchmarks.catalogue import benchmark
from benchmarks.recipes import NOTHING, PAPER, recipe_for
from benchmarks.spec import Recipe
from methods.registry import entry

OTHERS = "brought"  # no method is called so: what is trained as ZegCLIP for want of a recipe of its own


def recipe_of(method: str, bench: str, scale: str) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a method on a benchmark and the config values it sets; "paper" is only what a paper did."""
    known = entry(method)
    recipe, values = recipe_for(OTHERS if known.own else method, bench, scale, trained=known.trained)
    if benchmark(bench).own and recipe.name == PAPER:
        recipe = recipe.model_copy(update={"name": "pascal"})
    if not known.own or recipe.name == NOTHING:
        return recipe, values
    if known.recipe:
        fields = recipe.model_dump(mode="json") | dict(known.recipe) | {"name": "own"}
        recipe = Recipe.parse(fields, source=f"the recipe of {method}")
    return recipe, {}

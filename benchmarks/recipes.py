"""How a method is trained on a benchmark: its entry's recipe with the benchmark's augmentation. No torch here.

A method's entry (`methods.method_entry`) holds its recipes by kind of benchmark. "paper" recipes are the authors'.
"shapes" and "long" recipes are ours, tuned on the tune part of the built-in world. "trial" recipes are ours and only
show that a photo set is wired right.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.catalogue import Benchmark, benchmark
from benchmarks.spec import Recipe
from benchmarks.training.augmentation import PHOTOS, Augmentation
from methods.method_entry import NOTHING, MethodEntry, MethodRecipe, RecipeKind, borrowed
from methods.registry import METHODS, entry
from splits.errors import UserError
from splits.near import suggestion

IMPORTED: Final = "imported"
PAPER: Final = "paper"
CUSTOM: Final = "own"  # fields of it are a custom method's

# the papers' pipeline at the size of the built-in CLIP
TRIAL_AUGMENTATION: Final = PHOTOS.model_copy(update={"crop": 96, "resize": (384, 96)})
# Scenes as they are, the papers' pipeline for photos.
AUGMENTATION: Final[dict[RecipeKind, Augmentation]] = {
    "shapes": Augmentation(),
    "long": Augmentation(),
    "trial": TRIAL_AUGMENTATION,
}
# What `--recipe` may name, by the kind of benchmark; the first is the one taken without it.
CHOICES: Final[dict[RecipeKind, tuple[RecipeKind, ...]]] = {"shapes": ("shapes", "long")}
UNTRAINED: Final[dict[str, Any]] = {"iterations": 0, "batch": 16, "lr": 1e-4}


def recipe_for(method: str, bench: str, scale: str, chosen: str = "") -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a method on a benchmark at a scale, and the config values it sets.

    chosen: a name of `CHOICES`; empty: the benchmark's first. Only what a paper did is called "paper". Raises UserError
    where the benchmark has no such choice, and where the method has recipes, but none for this benchmark.
    """
    known, where = entry(method), benchmark(bench)
    kind = _kind(where, scale, chosen)
    if not known.trained:  # a choice among recipes says nothing to it
        kind = _kind(where, scale, "")
    data = _data(method, known, where, kind)
    name = "pascal" if where.custom and data.name == PAPER else CUSTOM if known.recipe else data.name
    fields = {"augmentation": AUGMENTATION.get(kind, PHOTOS).model_dump(mode="json"), **data.training, **known.recipe}
    return Recipe.parse({**fields, "name": name}, source=f"the recipe of {method}"), dict(data.config)


def without_recipe(method: str, bench: str) -> str | None:
    """The line that says so where a method's entry has no recipe at all and ZegCLIP's is taken; else None."""
    known = entry(method)
    if not known.trained or known.recipes or known.recipe:
        return None
    return f"{method} has no recipe: it is trained as ZegCLIP is on {bench} (`recipes` of its entry would set one)"


def imported(recipe: Recipe) -> Recipe:
    """The recipe of weights that were trained elsewhere: nothing is trained here, how they were is not known."""
    return Recipe(name=IMPORTED, iterations=0, batch=recipe.batch, augmentation=Augmentation(), lr=recipe.lr)


def _kind(bench: Benchmark, scale: str, chosen: str) -> RecipeKind:
    kind: RecipeKind = "trial" if bench.photos and scale != "native" else bench.recipes
    if not chosen:
        return kind
    choices = CHOICES.get(kind, ())
    if chosen not in choices:
        there = (
            f"no such recipe; {suggestion(chosen, choices)}" if choices else "one recipe a method; leave --recipe out"
        )
        raise UserError(f"--recipe {chosen}: {bench.name} has {there}")
    return choices[choices.index(chosen)]


def _data(method: str, known: MethodEntry, bench: Benchmark, kind: RecipeKind) -> MethodRecipe:
    found = known.recipes.get(kind)
    if not known.trained:
        found = found or MethodRecipe(NOTHING)
        return MethodRecipe(NOTHING, {**UNTRAINED, **found.training}, found.config)
    if found is not None:
        return found
    if known.recipes:
        raise UserError(
            f"{method} has no recipe for {bench.name} (kind {kind!r}); it has some for: {', '.join(known.recipes)}"
        )
    zegclip = borrowed(METHODS["zegclip"].recipes, "zegclip")[kind]
    return MethodRecipe(zegclip.name, zegclip.training)  # its config values are no other method's

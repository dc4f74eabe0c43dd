"""What the harness knows of one method: `MethodEntry`, the same for built-in and for custom methods. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from methods.idle import Idle
from methods.loss_averaging import Averaging, unknown_averaging
from methods.ranges import Declared

# What a benchmark is to a recipe; `benchmarks.catalogue` says which of these each benchmark is. "trial": photos at a
# size that the built-in CLIP can see. "shapes": the built-in world, within minutes; "long": the same for as long as it
# helps, by `--recipe long`. The others are photos at the papers' size.
TrainedKind = Literal["voc", "context", "coco-stuff", "coco-20i", "trial", "shapes", "long"]
# Photos that methods are scored on which train nothing, data set by data set.
OpenKind = Literal["voc21", "voc20", "context60", "context59", "coco-object", "coco-stuff-171", "ade20k", "cityscapes"]
RecipeKind = Literal[TrainedKind, OpenKind]
Recipes = Mapping[RecipeKind, "MethodRecipe"]

COMPARISON: Final = "comparison"  # the group that `--methods all` runs
RIVALS: Final = "rivals"  # the group of trained methods that are compared elsewhere: run by this name
NOTHING: Final = "none"  # the name of the recipe of methods that train nothing


@dataclass(frozen=True)
class MethodRecipe:
    """How a method is trained on one kind of benchmark, as plain data; `benchmarks.recipes` makes a `Recipe` of it."""

    name: str  # stands in tables: "paper": the authors' alone; "reading": as a text is read; the kind's: ours
    training: Mapping[str, Any] = field(default_factory=dict)  # fields of a Recipe; the benchmark has the augmentation
    config: Mapping[str, Any] = field(default_factory=dict)  # values of the method's config that go with it


@dataclass(frozen=True)
class MethodEntry:
    """One method, or a named variant of one (the same builder, with some switches fixed).

    Raises ValueError for fields that contradict one another.
    """

    title: str  # one line for `list methods`
    config: str  # "methods.zegclip.zegclip_config:ZegClipConfig", a MethodConfig; a string, so that listing stays fast
    builder: str  # "methods.zegclip.zegclip:build", called as build(clip=..., vocabulary=..., config=...)
    fidelity: str  # what of it is an author's and what is our reading
    needs: Literal["nothing", "tokens", "blocks"]  # of CLIP; text comes with tokens
    fixed: dict[str, Any] = field(default_factory=dict)  # config fields that make the variant
    trained: bool = True  # False: a recipe has nothing to say to it
    group: str = COMPARISON  # "comparison", "ablation:<method>", or another name to run it by
    # By kind of benchmark. A method that has some is refused on a benchmark of another kind. A method that has none is
    # trained by ZegCLIP's, with the fields of `recipe` changed; the command line says so.
    recipes: Recipes = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    averaging: Callable[[Any], Averaging] = unknown_averaging  # of its losses over a batch, by its config
    # Of the constants that are not an author's: config field -> what `sensitivity` draws from. Of the others: why they
    # are never drawn.
    ranges: Mapping[str, Declared] = field(default_factory=dict)
    not_drawn: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[Idle, ...] = ()  # config fields that others switch off: to set one by hand is refused
    cosines: float = 0.0  # its scores are cosines of tokens and texts times this; 0: they are something else
    trained_as: str = ""  # the method whose training it shares: weights of either are scored by both
    # Config fields that its authors chose for each data set on the very images they report: tables show their values.
    tuned: tuple[str, ...] = ()
    published_as: tuple[str, ...] = ()  # its names in `results/published/register.csv`
    published_clip: str = ""  # the CLIP of those rows, "model/tag" as open_clip names them
    custom: bool = False  # set by `methods.custom`: not of the harness
    source: str = ""  # the text of the file that a custom method came in

    def __post_init__(self) -> None:
        if self.recipe and (self.recipes or not self.trained):
            reason = "it has `recipes` already" if self.recipes else "it is not trained"
            raise ValueError(f"`recipe` changes fields of ZegCLIP's recipe; {reason}: leave it out")
        if bool(self.published_as) != bool(self.published_clip):
            raise ValueError("`published_as` and `published_clip` belong together: give both or none")

    @property
    def is_floor(self) -> bool:
        """Neither trained nor asked of CLIP, so that no GPU would help it. Of custom methods nobody knows."""
        return not (self.custom or self.trained or self.needs != "nothing")


def borrowed(recipes: Recipes, method: str) -> dict[RecipeKind, MethodRecipe]:
    """The recipes of another method, named after it where they are an author's: nobody trained this one so."""
    return {kind: r if r.name == kind else replace(r, name=f"{method}'s") for kind, r in recipes.items()}


def with_config(recipes: Recipes, config: Mapping[RecipeKind, Mapping[str, Any]]) -> dict[RecipeKind, MethodRecipe]:
    """The same trainings with other config values, by kind; none for a kind that is not named."""
    return {kind: replace(recipe, config=config.get(kind, {})) for kind, recipe in recipes.items()}

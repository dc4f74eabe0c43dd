"""Recipes: the papers' constants, and ours under another name."""

from dataclasses import replace
from typing import get_args

import pytest

from benchmarks.catalogue import BENCHMARKS
from benchmarks.recipes import NOTHING, recipe_for, without_recipe
from methods.method_entry import MethodEntry, MethodRecipe, TrainedKind
from methods.registry import METHODS, config_class
from splits.errors import UserError

TRAINED = [name for name, e in METHODS.items() if e.trained]
STUDENTS_ON_PHOTOS = {"body_weights": "published", "candidates": "enqueued", "pool_padding": "left-out"}
PLACES = [("pascal-5i", "native"), ("pascal-5i", "trial"), ("voc-15-5", "native"), ("shapes-5i", "native")]


def test_zegclip_on_voc_is_the_released_one() -> None:
    """Fails when a constant of the released configuration is changed (ZegCLIP, configs/voc12)."""
    recipe, config = recipe_for("zegclip", "pascal-5i", "native")
    assert config == {}
    assert recipe.model_dump(mode="json") == {
        "name": "paper",
        "iterations": 20_000,
        "batch": 16,
        "augmentation": {
            "resize": [2048, 512],
            "resize_ratio": [0.5, 2.0],
            "crop": 512,
            "cat_max_ratio": 0.75,
            "flip": 0.5,
            "photometric": True,
        },
        "lr": 2e-4,
        "weight_decay": 0.01,
        "betas": [0.9, 0.999],
        "poly_power": 0.9,
        "min_lr": 1e-6,
        "warmup_iterations": 1500,
        "warmup_ratio": 1e-6,
        "decay": "overlaid",
        "restart_at": None,
        "precision": "32-true",
        "compiled": False,
        "ranks": 1,
        "accumulate": 1,
        "tf32": False,
    }


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize(("bench", "scale"), PLACES)
def test_only_the_papers_recipe_is_called_paper(method: str, bench: str, scale: str) -> None:
    """Fails when a recipe of ours would stand in a table without saying so."""
    recipe, config = recipe_for(method, bench, scale)
    # how ablations and baselines were trained, nobody published
    papers = ("zegclip", "cascade-clip", "otseg", "otseg+")
    family = next((m for m in ("zegclip", "cascade-clip", "otseg") if method.startswith(m)), "clip-to-seg")
    published = "paper" if method in papers else "reading" if method == "clip-to-seg" else f"{family}'s"
    expected = "shapes" if bench == "shapes-5i" else {"native": published, "trial": "trial"}[scale]
    assert recipe.name == expected
    if expected == published:  # nothing but what the papers are read to say
        students = {k: v for k, v in STUDENTS_ON_PHOTOS.items() if k != "candidates" or "chimera" not in method}
        assert config == (students if family == "clip-to-seg" else {})
    else:
        assert config


@pytest.mark.parametrize("method", ["constant", "random", "clip"])
@pytest.mark.parametrize(("bench", "scale"), PLACES)
def test_what_is_not_trained_says_so(method: str, bench: str, scale: str) -> None:
    """Fails when a training-free method is trained, or shown as if by a recipe."""
    recipe, _ = recipe_for(method, bench, scale)
    assert recipe.name == NOTHING
    assert (recipe.iterations > 0) == (method == "constant")  # it counts labels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("bench", "scale"), PLACES)
def test_values_are_valid_where_they_are_known(method: str, bench: str, scale: str) -> None:
    """Fails when a recipe sets something that the method's config refuses."""
    _, values = recipe_for(method, bench, scale)
    config_class(method).model_validate(values | METHODS[method].fixed)


def test_config_given_out_is_a_copy() -> None:
    """Fails when a caller that changes the values changes them for everybody."""
    recipe_for("zegclip", "shapes-5i", "native")[1].clear()
    assert recipe_for("zegclip", "shapes-5i", "native")[1]


def test_compared_methods_share_their_recipe() -> None:
    """Fails when a method is trained longer or otherwise than its own ablations."""
    for family in (["zegclip"], ["clip-to-seg", "clipteacher"], ["chimera-seg"], ["cascade-clip"], ["otseg"]):
        members = [method for method in TRAINED if method.startswith(tuple(family))]
        for bench, scale in PLACES:
            recipes = [recipe_for(method, bench, scale)[0].model_copy(update={"name": ""}) for method in members]
            assert len({recipe.digest() for recipe in recipes}) == 1


def test_clip_to_seg_on_voc_is_the_papers() -> None:
    """Fails if iterations, batch or crop are not CLIP-to-Seg's (page 7), or the schedule not SegNeXt's in MMSeg."""
    recipe, config = recipe_for("clip-to-seg", "voc-15-5", "native")
    assert config == STUDENTS_ON_PHOTOS
    assert (recipe.iterations, recipe.batch, recipe.augmentation.crop) == (20_000, 16, 512)
    assert (recipe.lr, recipe.weight_decay, recipe.poly_power, recipe.min_lr) == (6e-5, 0.01, 1.0, 0.0)
    assert (recipe.warmup_iterations, recipe.warmup_ratio, recipe.decay) == (1_500, 1e-6, "after-warmup")


def test_students_elsewhere() -> None:
    """Fails when COCO or Context is trained as long as VOC, or a training nobody published is called the paper's."""
    found = {
        (method, bench): (recipe.name, recipe.iterations)
        for method in ("clip-to-seg", "chimera-seg")
        for bench in ("coco-stuff-156-15", "coco-20i", "context-49-10")
        for recipe, _ in [recipe_for(method, bench, "native")]
    }
    assert found == {
        ("clip-to-seg", "coco-stuff-156-15"): ("reading", 80_000),
        ("clip-to-seg", "coco-20i"): ("clip-to-seg's", 80_000),
        ("clip-to-seg", "context-49-10"): ("reading", 40_000),
        ("chimera-seg", "coco-stuff-156-15"): ("clip-to-seg's", 80_000),
        ("chimera-seg", "coco-20i"): ("clip-to-seg's", 80_000),
        ("chimera-seg", "context-49-10"): ("clip-to-seg's", 40_000),
    }


def test_zegclip_elsewhere() -> None:
    """Fails when COCO is trained as long as VOC, with VOC's prompts, or a training nobody published is called paper."""
    stuff, config = recipe_for("zegclip", "coco-stuff-156-15", "native")
    assert (stuff.name, stuff.iterations, config) == ("paper", 80_000, {"prompt_tokens": 100})
    things, config = recipe_for("zegclip", "coco-20i", "native")
    assert (things.name, things.iterations, config) == ("zegclip's", 80_000, {"prompt_tokens": 100})
    context, config = recipe_for("zegclip", "context-50-10", "native")
    assert (context.name, context.iterations, config) == ("followers'", 40_000, {})
    assert recipe_for("zegclip-baseline", "coco-stuff-156-15", "native")[0].name == "zegclip's"


@pytest.mark.parametrize("method", TRAINED)
def test_a_built_in_method_states_every_recipe(method: str) -> None:
    """Fails when a new method is trained by another's recipe because nobody wrote down its own."""
    assert METHODS[method].recipes.keys() == set(get_args(TrainedKind))
    assert without_recipe(method, "shapes-5i") is None


MINE = MethodEntry("mine", METHODS["zegclip"].config, METHODS["zegclip"].builder, "ours", "blocks", custom=True)


@pytest.mark.parametrize("bench", [name for name, b in BENCHMARKS.items() if b.split.has_train])
@pytest.mark.parametrize("scale", ["native", "trial"])
def test_a_method_without_recipes_is_trained_as_zegclip_and_says_so(
    bench: str, scale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the recipe taken for want of one goes unsaid, is called a paper's, or sets ZegCLIP's config values."""
    monkeypatch.setitem(METHODS, "mine", MINE)
    recipe, values = recipe_for("mine", bench, scale)
    assert recipe == recipe_for("zegclip-baseline", bench, scale)[0]
    assert recipe.name != "paper"
    assert values == {}
    assert "trained as ZegCLIP is on" in (without_recipe("mine", bench) or "")


def test_a_custom_method_changes_fields_or_has_recipes_as_a_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when `recipe` changes other fields, or `recipes` are a door for built-in methods alone."""
    monkeypatch.setitem(METHODS, "mine", replace(MINE, recipe={"lr": 1e-3}))
    expected = recipe_for("zegclip", "voc-15-5", "native")[0].model_copy(update={"name": "own", "lr": 1e-3})
    assert recipe_for("mine", "voc-15-5", "native") == (expected, {})
    assert without_recipe("mine", "voc-15-5") is None
    training = {"iterations": 7, "batch": 2, "lr": 0.5}
    entry = replace(MINE, recipes={"shapes": MethodRecipe("shapes", training, {"decoder_heads": 2})})
    monkeypatch.setitem(METHODS, "mine", entry)
    recipe, values = recipe_for("mine", "shapes-5i", "native")
    assert (recipe.iterations, recipe.batch, recipe.lr, values) == (7, 2, 0.5, {"decoder_heads": 2})
    with pytest.raises(UserError, match=r"mine has no recipe for pascal-5i \(kind 'voc'\); it has some for: shapes"):
        recipe_for("mine", "pascal-5i", "native")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"recipe": {"lr": 1e-3}, "recipes": METHODS["zegclip"].recipes}, "`recipes` already"),
        ({"recipe": {"lr": 1e-3}, "trained": False}, "not trained"),
        ({"published_as": ("Mine",)}, "belong together"),
    ],
)
def test_fields_that_would_be_ignored_are_refused(fields: dict, reason: str) -> None:
    """Fails when a field of an entry is accepted where nothing reads it."""
    with pytest.raises(ValueError, match=reason):
        replace(MINE, **fields)


def test_followers_of_zegclip_elsewhere() -> None:
    """Fails when prompts, texts, lengths or crops are not the released ones, or COCO-20i is called paper."""
    places = ("voc-15-5", "context-49-10", "coco-stuff-156-15", "coco-20i")
    found = {
        (method, bench): (recipe.name, recipe.iterations, recipe.augmentation.crop, config)
        for method in ("cascade-clip", "otseg")
        for bench in places
        for recipe, config in [recipe_for(method, bench, "native")]
    }
    coco = {"prompt_tokens": 100, "text_prompts": 8, "text_dtype": "float32"}
    assert found == {
        ("cascade-clip", "voc-15-5"): ("paper", 20_000, 512, {}),
        ("cascade-clip", "context-49-10"): ("paper", 40_000, 512, {"prompt_tokens": 35}),
        ("cascade-clip", "coco-stuff-156-15"): ("paper", 80_000, 512, {"prompt_tokens": 50}),
        ("cascade-clip", "coco-20i"): ("cascade-clip's", 80_000, 512, {"prompt_tokens": 50}),
        ("otseg", "voc-15-5"): ("paper", 20_000, 512, {}),
        ("otseg", "context-49-10"): ("paper", 40_000, 480, {"text_prompts": 8}),
        ("otseg", "coco-stuff-156-15"): ("paper", 80_000, 512, coco),
        ("otseg", "coco-20i"): ("otseg's", 80_000, 512, coco),
    }
    assert recipe_for("otseg", "context-49-10", "native")[0].augmentation.resize == (520, 520)


def test_resclip_has_its_constants_of_each_data_set() -> None:
    """Fails when a constant tuned on one data set is used on another, or passes for one of all."""
    assert recipe_for("resclip", "voc-15-5", "native")[1] == {}  # VOC's are the defaults
    context, coco = (recipe_for("resclip", bench, "native")[1] for bench in ("context-49-10", "coco-20i"))
    assert context == {"weak_below": 0.25, "middle_share": 0.4, "feedback_scale": 1.8, "feedback_share": 0.7}
    assert coco == context | {"weak_below": 0.11}
    assert context.keys() == set(METHODS["resclip"].tuned)


@pytest.mark.parametrize("method", TRAINED)
def test_the_long_recipe_is_the_short_one_for_longer(method: str) -> None:
    """Fails when a method is given another budget than the others, or other settings with the longer recipe."""
    (short, config), (long, same) = (recipe_for(method, "shapes-5i", "native", name) for name in ("shapes", "long"))
    assert config == same
    assert (short.iterations, long.iterations) == (300, 1_200)
    assert short.model_copy(update={"name": "long", "iterations": 1_200}) == long
    assert recipe_for(method, "shapes-5i", "native") == (short, config)


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(TRAINED)))
def test_the_long_recipe_changes_nothing_of_what_is_not_trained(method: str) -> None:
    """Fails when `--recipe long` scores a CLIP without the settings that the built-in world has for it."""
    assert recipe_for(method, "shapes-5i", "native", "long") == recipe_for(method, "shapes-5i", "native")


def test_a_choice_that_a_benchmark_has_not_is_refused() -> None:
    """Fails when a recipe asked for by name is passed over, or a photo set is trained by the built-in world's."""
    with pytest.raises(
        UserError, match=r"--recipe longer: shapes-5i has no such recipe; did you mean long\? There are"
    ):
        recipe_for("zegclip", "shapes-5i", "native", "longer")
    for scale in ("native", "trial"):
        with pytest.raises(UserError, match=r"--recipe long: pascal-5i has one recipe a method; leave --recipe out"):
            recipe_for("zegclip", "pascal-5i", scale, "long")

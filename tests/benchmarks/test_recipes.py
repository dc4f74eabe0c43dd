"""Recipes: the papers' constants, and ours under another name."""

import pytest

from benchmarks.recipes import NOTHING, recipe_for
from methods.registry import METHODS, config_class

TRAINED = [name for name in METHODS if name not in ("constant", "random", "clip")]
CHIMERA = [name for name in TRAINED if name.startswith("chimera-seg")]
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
        "restart_at": None,
        "precision": "32-true",
    }


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize(("bench", "scale"), PLACES)
def test_only_the_papers_recipe_is_called_paper(method: str, bench: str, scale: str) -> None:
    """Fails when a recipe of ours would stand in a table without saying so."""
    recipe, config = recipe_for(method, bench, scale)
    published = "paper" if method == "zegclip" else "zegclip's"  # how its baselines were trained, nobody published
    if method in CHIMERA:
        published = "clip-to-seg's"  # Chimera-Seg's own training is not public
    expected = "shapes" if bench == "shapes-5i" else {"native": published, "trial": "trial"}[scale]
    assert recipe.name == expected
    assert (config == {}) == (expected == published)


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
    cls = config_class(method)
    cls.model_validate({name: value for name, value in values.items() if name in cls.model_fields})


def test_config_given_out_is_a_copy() -> None:
    """Fails when a caller that changes the values changes them for everybody."""
    recipe_for("zegclip", "shapes-5i", "native")[1].clear()
    assert recipe_for("zegclip", "shapes-5i", "native")[1]


def test_compared_methods_share_their_recipe() -> None:
    """Fails when a method's ablation is trained longer or otherwise than the method itself."""
    for bench, scale in PLACES:
        for family in (CHIMERA, [name for name in TRAINED if name.startswith("zegclip")]):
            recipes = [recipe_for(method, bench, scale)[0].model_copy(update={"name": ""}) for method in family]
            assert len({recipe.digest() for recipe in recipes}) == 1


def test_chimera_seg_on_voc_is_trained_as_clip_to_seg() -> None:
    """Fails when a constant changes: iterations, batch and crop are CLIP-to-Seg's text, the rest MMSeg's default."""
    recipe, _ = recipe_for("chimera-seg", "voc-15-5", "native")
    assert (recipe.iterations, recipe.batch, recipe.augmentation.crop) == (20_000, 16, 512)
    assert (recipe.lr, recipe.weight_decay, recipe.betas, recipe.poly_power) == (6e-5, 0.01, (0.9, 0.999), 1.0)
    assert (recipe.min_lr, recipe.warmup_iterations, recipe.warmup_ratio) == (0.0, 1500, 1e-6)

"""Recipes that are not as published name the difference before anything is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.spec import ClipId
from results.launch.plan import recipe_changes as module
from results.launch.plan.recipe_changes import recipe_changes
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from splits.errors import UserError

PROJECT = Path(__file__).resolve().parents[4]
CLIP = ClipId(model="ViT-B-16", pretrained="openai")


def lines_of(*methods: str, bench: str = "pascal-5i", **changes) -> list[str]:
    request = Request(methods, (bench,), folds=(0,), clip=None if bench == "shapes-5i" else CLIP, **changes)
    return list(recipe_changes(request, plan(request)))


@pytest.mark.parametrize("setting", ["inductive", "transductive", "fully-supervised"])
@pytest.mark.parametrize("bench", ["shapes-5i", "pascal-5i", "voc-15-5"])
def test_recipes_as_they_are_say_nothing(bench: str, setting: str) -> None:
    """Fails when a run as its recipe says is warned of: a restart of self-training, what makes a variant."""
    assert lines_of("zegclip", "zegclip-without-rd", "clip", "constant", bench=bench, setting=setting) == []


def test_each_field_is_named_with_both_values() -> None:
    """Fails when a changed field goes untold, or the recipe's and the method's own of one name (iterations) are one."""
    overrides = ("recipe.iterations=300", "zegclip.prompt_tokens=20", "clip-to-seg.iterations=3", "recipe.batch=8")
    assert lines_of("zegclip", "clip", "clip-to-seg", overrides=overrides, accumulate=2) == [
        "zegclip on pascal-5i is changed from the paper's recipe: iterations 20000 -> 300, batch 16 -> 8, "
        "accumulate 1 -> 2, zegclip.prompt_tokens 10 -> 20",
        "clip-to-seg on pascal-5i is changed from the paper's recipe as it is read: iterations 20000 -> 300, "
        "batch 16 -> 8, accumulate 1 -> 2, clip-to-seg.iterations 10 -> 3",
    ]


def test_limits_ranks_and_whose_recipe() -> None:
    """Fails when a trial run passes for a whole one, or a recipe of ours is called a paper's."""
    assert lines_of("zegclip", bench="shapes-5i", limit=8, ranks=2) == [
        "zegclip on shapes-5i is changed from the harness's own shapes recipe: iterations 300 -> 8, ranks 1 -> 2, "
        "images all -> 8"
    ]
    (line,) = lines_of("zegclip-baseline", overrides=("recipe.augmentation={}",))
    assert line.startswith("zegclip-baseline on pascal-5i is changed from zegclip's recipe: augmentation.")
    assert "shapes" not in line


def test_a_sweep_is_one_line() -> None:
    """Fails when each setting of a sweep has a line, or the one at the default hides the others."""
    sweep = tuple((f"zegclip.prompt_tokens={count}",) for count in (10, 50))
    assert lines_of("zegclip", bench="shapes-5i", sweep=sweep, part="tune") == [
        "zegclip on shapes-5i is changed from the harness's own shapes recipe: zegclip.prompt_tokens 10 -> 10 | 50"
    ]


def test_a_method_without_defaults_has_nothing_to_depart_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a method of somebody's own with a setting that must be given cannot be run."""
    request = Request(("zegclip",), ("shapes-5i",), folds=(0,), limit=8)
    runs = plan(request)

    def settings_for(*_: object) -> None:
        raise UserError("mine: size: Field required")

    monkeypatch.setattr(module, "settings_for", settings_for)
    assert list(recipe_changes(request, runs)) == []


def test_imported_weights_are_not_trained() -> None:
    """Fails when weights that are only scored are said to be trained otherwise."""
    assert lines_of("zegclip", weights="0" * 64, overrides=("recipe.iterations=3",)) == []


def test_a_dry_run_warns(tmp_path: Path) -> None:
    """Fails when the command does not say it, says it among what it prints for machines, or `eval` does too."""
    arguments = ("--methods", "zegclip", "--folds", "0", "--accumulate", "2", "--dry-run", "--runs", str(tmp_path))
    lines = {}
    for command in ("run", "eval"):
        done = subprocess.run(
            [sys.executable, "harness.py", command, *arguments], capture_output=True, text=True, cwd=PROJECT
        )
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stdout
        lines[command] = done.stderr.splitlines()
    assert lines["eval"] == []
    assert lines["run"] == [
        "warning: zegclip on shapes-5i is changed from the harness's own shapes recipe: accumulate 1 -> 2"
    ]

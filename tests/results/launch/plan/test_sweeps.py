"""Sweeps: the settings drawn, the runs planned, and that none is scored on test images unsaid."""

from __future__ import annotations

import pytest

import harness
from results.launch.commands.parse import request_of
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.plan.sweeps import read_sweep, settings_of
from splits.errors import UserError


def planned(settings, **changes):
    fields = {"methods": ("zegclip",), "benchmarks": ("shapes-5i",), "folds": (0,), "part": "tune"} | changes
    return plan(Request(sweep=settings, **fields))


def test_every_combination_is_a_run():
    """Fails when a combination is left out, made twice, or given other values."""
    settings = settings_of(["zegclip.prompt_tokens=3,10", "recipe.lr=0.1,0.2,0.3"], None)
    runs = planned(settings)
    found = {(r.train.config.get("prompt_tokens", 10), r.train.recipe.lr) for r in runs}
    assert len(runs) == 6
    assert found == {(tokens, lr) for tokens in (3, 10) for lr in (0.1, 0.2, 0.3)}
    assert not any(run.evaluation.tuned_on_test for run in runs)


def test_what_a_sweep_does_not_touch_is_run_once():
    """Fails when a method without the swept setting is trained once for each value."""
    settings = settings_of(["zegclip.prompt_tokens=3,10"], None)
    runs = planned(settings, methods=("zegclip", "clip"))
    assert sorted(run.train.method for run in runs) == ["clip", "zegclip", "zegclip"]


@pytest.mark.parametrize("bench", ["shapes-5i", "pascal-5i"])
def test_a_sweep_on_test_images_is_refused_or_marked(bench):
    """Fails when settings can be chosen on the images that results are reported on without every record saying so."""
    settings = (("recipe.lr=0.1",),)
    with pytest.raises(UserError, match="--tune-on-test"):
        planned(settings, benchmarks=(bench,), part="val")
    (marked,) = planned(settings, benchmarks=(bench,), part="val", tune_on_test=True)
    (plain,) = planned((), benchmarks=(bench,), part="val", overrides=settings[0])
    assert marked.evaluation.tuned_on_test
    assert marked.evaluation.key != plain.evaluation.key
    assert marked.train == plain.train


def test_tune_benchmarks_need_no_mark():
    """Fails when tuning where it is meant to be done is refused, or marked as done on test."""
    (run,) = planned((("recipe.lr=0.1",),), benchmarks=("pascal-5i-tune",), part="val")
    assert not run.evaluation.tuned_on_test
    (same,) = planned((("recipe.lr=0.1",),), benchmarks=("pascal-5i-tune",), part="val", tune_on_test=True)
    assert not same.evaluation.tuned_on_test


RANDOM = """
draw = "random"
n = 50
seed = 3
[values]
"zegclip.prompt_tokens" = { low = 1, high = 4 }
"recipe.lr" = { low = 1e-4, high = 1e-2, log = true }
"zegclip.query" = ["text", "descriptor"]
"""


def test_random_settings_follow_from_the_seed(tmp_path):
    """Fails when draws depend on anything but the seed, leave their range, or never reach its ends."""
    path = tmp_path / "s.toml"
    path.write_text(RANDOM)
    settings = settings_of([], path)
    assert len(settings) == 50
    assert settings == settings_of([], path)
    values = [dict(text.split("=") for text in setting) for setting in settings]
    assert {v["zegclip.prompt_tokens"] for v in values} == {"1", "2", "3", "4"}
    assert {v["zegclip.query"] for v in values} == {'"text"', '"descriptor"'}
    rates = sorted(float(v["recipe.lr"]) for v in values)
    assert 1e-4 <= rates[0] < 2e-4
    assert 5e-4 < rates[25] < 2e-3  # even in the logarithm
    path.write_text(RANDOM.replace("seed = 3", "seed = 4"))
    assert settings_of([], path) != settings


def test_a_grid_without_end_is_one_line(tmp_path):
    """Fails when a slip in a grid holds the machine for hours instead of being told."""
    path = tmp_path / "s.toml"
    path.write_text("[values]\n" + "\n".join(f'"a.x{i}" = [1, 2, 3, 4, 5, 6, 7, 8, 9]' for i in range(6)))
    for given in (([], path), ([f"a.x{i}=1,2,3,4,5,6,7,8,9" for i in range(6)], None)):
        with pytest.raises(UserError, match="531,441 combinations"):
            settings_of(*given)


def test_a_grid_file_is_the_command_line(tmp_path):
    """Fails when the same grid in a file plans other runs."""
    path = tmp_path / "s.toml"
    path.write_text('[values]\n"zegclip.prompt_tokens" = [3, 10]\n"recipe.lr" = [0.1, 0.2]\n')
    given = settings_of(["zegclip.prompt_tokens=3,10", "recipe.lr=0.1,0.2"], None)
    assert planned(settings_of([], path)) == planned(given)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "values"),
        ("x = (", "cannot be read as TOML"),
        ('draw = "random"\n[values]\n"a.b" = [1]', "says how many settings"),
        ('n = 3\n[values]\n"a.b" = [1]', "says how many settings"),
        ('[values]\n"a.b" = []', "no value"),
        ('[values]\n"a.b" = { low = 1, high = 2 }', "a grid needs a list"),
        ('draw = "random"\nn = 1\n[values]\n"a.b" = { low = 2, high = 1 }', "expected low < high"),
        ('draw = "random"\nn = 1\n[values]\n"a.b" = { low = 2, high = 99999999999999999 }', r"2\^53"),
        ('draw = "random"\nn = 1000000000000\n[values]\n"a.b" = [1]', "expected at most 100000"),
        ("a = 2026-01-02", "date"),
        ("a = " + "[" * 5000, "cannot be read as TOML"),
        ('draw = "random"\nn = 1\n[values]\n"a.b" = { low = 0, high = 1, log = true }', "above 0 with log"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, reason):
    """Fails when a mistake in a sweep file ends in a stack trace, or in runs."""
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_sweep(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--sweep", "zegclip.prompt_tokens"], "expected METHOD.SETTING=A,B,C"),
        (["--sweep", "zegclip.prompt_tokens=1,,2"], "expected METHOD.SETTING=A,B,C"),
        (["--sweep", "a.b=1", "a.b=2"], "stands there twice"),
        (["--tune-on-test"], "belongs to a sweep"),
        (["--sweep", "a.b=1", "--methods", "zegclip", "--weights", __file__], "leave one out"),
        (["--sweep", "a.b=1", "--sweep-file", "f"], "not both"),
    ],
)
def test_wrong_options_are_refused(given, reason):
    """Fails when a flag of a sweep is ignored or misread."""
    with pytest.raises(UserError, match=reason):
        request_of(harness._parser().parse_args(["run", *given]))


def test_unknown_settings_are_refused_by_the_plan():
    """Fails when a sweep over a field that does not exist trains something."""
    with pytest.raises(UserError, match="no setting"):
        planned((("zegclip.no_such_field=1",),))

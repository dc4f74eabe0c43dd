"""`sensitivity`: what is drawn, which runs follow from it, and the command as a person calls it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from methods.ranges import Between, OneOf
from methods.registry import METHODS, config_class
from results.launch.plan.request import Draw, Request
from results.launch.plan.runs import plan
from results.launch.plan.sensitivity import Variation, draws, in_turn, ranges_of, variations_of
from results.launch.plan.settings import config_of
from results.store.folders import Stored, find_records, find_stored
from results.store.staleness import is_stale
from results.store.verify import problems
from splits.errors import UserError

PROJECT = Path(__file__).resolve().parents[4]
EXAMPLE = PROJECT / "tests" / "examples" / "adapter.py"
DRAWN = [name for name, entry in METHODS.items() if entry.ranges and entry.group == "comparison"]
SMALL = ("--folds", "0", "1", "--limit", "3", "--device", "cpu", "--set", "recipe.batch=2", "--cluster", "debug")


def varied(*methods: str, n: int = 3, seed: int = 0, drawn: tuple[str, ...] = (), **changes) -> list[Variation]:
    fields = {"benchmarks": ("shapes-5i",), "folds": (0, 2), "part": ""} | changes
    return list(variations_of(Request(methods=methods, **fields), Draw(drawn or methods, n, seed)))


def plain_run(method: str):
    return plan(Request(methods=(method,), benchmarks=("shapes-5i",), folds=(0,), part="tune"))[0]


@pytest.mark.parametrize("method", DRAWN)
@given(n=st.integers(1, 12), more=st.integers(1, 8), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_draws_keep_their_ranges_and_follow_from_the_seed(method: str, n: int, more: int, seed: int) -> None:
    """Fails when a value leaves its range, depends on more than seed and number, or is refused by the config."""
    ranges = ranges_of(method, plain_run(method))
    drawn = draws(method, ranges, n, seed)
    assert len(drawn) == n
    assert drawn == draws(method, ranges, n, seed)
    assert drawn == draws(method, ranges, n + more, seed)[:n]
    assert drawn != draws(method, ranges, n, seed + 1) or len(ranges) < 3
    for values in drawn:
        assert values.keys() == ranges.keys()
        config = config_of(plain_run(method).train).model_dump(mode="json") | values
        config_class(method).model_validate_json(json.dumps(config), strict=True)
        for name, span in ranges.items():
            value = tuple(values[name]) if isinstance(values[name], list) else values[name]
            if isinstance(span, OneOf):
                assert value in span.values
            else:
                assert span.low <= value <= span.high


def test_a_field_of_its_own_changes_no_other_draw() -> None:
    """Fails when a new range changes the settings of all others, so that every stored run is lost."""
    ranges = {"a": Between(0.0, 1.0), "b": OneOf((1, 2))}
    alone = draws("m", {"a": ranges["a"]}, 5, 0)
    assert [values["a"] for values in draws("m", ranges, 5, 0)] == [values["a"] for values in alone]


def test_every_setting_is_a_run_of_each_fold_and_seed() -> None:
    """Fails when a run is left out, is another training than the values say, or is not marked as drawn."""
    (one,) = varied("chimera-seg", n=3, seeds=(0, 1))
    assert (one.part, one.folds, len(one.default), len(one.settings)) == ("tune", (0, 2), 4, 3)
    assert not any(run.evaluation.drawn for run in one.default)
    for values, runs in one.settings:
        assert [(run.train.fold, run.train.seed) for run in runs] == [(0, 0), (2, 0), (0, 1), (2, 1)]
        assert all(run.evaluation.drawn and run.evaluation.part == "tune" for run in runs)
        for run in runs:
            config = config_of(run.train).model_dump(mode="json")
            assert {name: config[name] for name in values} == values
            assert config["body"] == "small"  # the recipe's, not drawn
    assert len({run.train.digest() for run in in_turn([one])}) == 16


def test_what_is_only_held_against_is_not_drawn() -> None:
    """Fails when a method named with --against is trained under other settings than its own."""
    chimera, clip = varied("chimera-seg", "clip", drawn=("chimera-seg",))
    assert (len(chimera.settings), len(clip.settings)) == (3, 0)
    order = [run.train.method for run in in_turn([chimera, clip])]
    assert order == ["chimera-seg"] * 2 + ["clip"] * 2 + ["chimera-seg"] * 6


def test_a_setting_by_hand_is_not_drawn_over() -> None:
    """Fails when --set is ignored, in the method as it is or in a drawn setting."""
    (one,) = varied("chimera-seg", overrides=("chimera-seg.scale=5.0", "recipe.lr=0.001"))
    assert "scale" not in (one.ranges or {})
    assert all(config_of(run.train).scale == 5.0 for run in in_turn([one]))
    assert {run.train.recipe.lr for run in in_turn([one])} == {0.001}
    (other,) = varied("clip-to-seg", overrides=("recipe.iterations=7",))
    assert "iterations" in (other.ranges or {})  # of K-Means: another thing of the same name


def test_it_is_scored_on_no_test_images_unsaid() -> None:
    """Fails when settings are compared on val without every record saying so."""
    with pytest.raises(UserError, match="--tune-on-test"):
        varied("chimera-seg", part="val")
    with pytest.raises(UserError, match="--tune-on-test"):
        varied("chimera-seg", benchmarks=("pascal-5i",))
    (one,) = varied("chimera-seg", tune_on_test=True)
    assert one.part == "val"
    assert all(run.evaluation.tuned_on_test for run in in_turn([one]))
    (tuning,) = varied("chimera-seg", benchmarks=("pascal-5i-tune",))
    assert tuning.part == "val"
    assert not any(run.evaluation.tuned_on_test for run in in_turn([tuning]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonesuch"], "no method is called 'nonesuch'"),
        (["constant"], "no constant of it has a registered range"),
        (["zegclip", "--set", "zegclip.decoder_heads=2", "zegclip.seen_shift=0.1"], "nothing to draw"),
        (["chimera-seg", "--sweep", "chimera-seg.scale=1,2"], "leave --sweep"),
        (["chimera-seg", "--weights", "w.safetensors"], "leave one out"),
        (["chimera-seg", "--set", "clip-to-seg.temperature=1"], "none of what is run"),
        (["chimera-seg", "--from", "no-such-folder"], "no folder of runs"),
        (["chimera-seg", "--from", "results/reference"], "no record of these runs"),
        (["chimera-seg", "--from", "results/reference", "--jobs", "2"], "--from starts nothing: leave --jobs out"),
        (["chimera-seg", "--from", "results/reference", "--cluster", "debug"], "leave --cluster out"),
    ],
)
def test_bad_arguments_end_in_one_line(arguments: list[str], said: str, capsys, monkeypatch) -> None:
    """Fails when a mistake ends in a stack trace, or is ignored."""
    monkeypatch.chdir(PROJECT)
    assert harness.main(["sensitivity", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_so_many_settings_cannot_be_drawn(count: str) -> None:
    """Fails when a number of settings that is none is taken."""
    with pytest.raises(SystemExit):
        harness.main(["sensitivity", "chimera-seg", "--n", count])


def custom_method(folder: Path, ranges: str) -> Path:
    """The README's example with ranges of its own."""
    text = EXAMPLE.read_text().replace('needs="tokens",', f'needs="tokens",\n        ranges={ranges},')
    path = folder / "adapter.py"
    path.write_text("from methods.ranges import Around, Between, OneOf\n" + text)
    return path


def test_a_method_of_ones_own_is_drawn_run_and_read_again(tmp_path: Path, capsys, forgotten) -> None:
    """Fails when ranges in a file are ignored, a second call trains again, or forms and exit codes are wrong."""
    file, runs = custom_method(tmp_path, '{"scale": Around(2)}'), tmp_path / "runs"
    common = ["sensitivity", "adapter", "--against", "clip", "--method-file", str(file)]
    assert harness.main([*common, *SMALL, "--n", "2", "--runs", str(runs)]) == 0
    first = capsys.readouterr().out
    assert "| adapter" in first
    assert "scale 10 to 40 (log)" in first
    assert "8 runs: 8 done" in first
    records = list(find_records(runs))
    assert len(records) == 8
    scales = {r.result.train.config.get("scale", 20.0) for r in records if r.result.train.method == "adapter"}
    assert len(scales) == 3
    assert all(10 <= scale <= 40 for scale in scales)
    assert all(r.result.evaluation.drawn == ("scale" in r.result.train.config) for r in records)

    moved = tmp_path / "moved"  # the records alone, as they are committed
    for path in runs.glob("*/*/*/evals/*/*"):
        (moved / path.relative_to(runs)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.relative_to(runs))
    read = [*common, "--folds", "0", "1", "--limit", "3", "--set", "recipe.batch=2", "--from", str(moved)]
    for form in ("markdown", "csv", "latex", "html"):
        assert harness.main([*read, "--n", "2", "--format", form]) == 0
        printed = capsys.readouterr().out
        assert "adapter" in printed
        if form == "markdown":
            assert printed in first
        if form == "csv":
            assert all(repr(scale) in printed for scale in scales - {20.0})
    assert harness.main(["tables", "--from", str(moved), "--by", "fold"]) == 0
    assert capsys.readouterr().out.count("| adapter") == 2  # as it is, on two folds: no drawn setting among them

    assert harness.main([*read, "--n", "3"]) == 1  # a third setting was never run
    printed = capsys.readouterr()
    assert "2 of 3" in printed.out
    assert "planned" in printed.err


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ('{"scael": Around(2)}', "'scael', which its config has not"),
        ('{"scale": (1, 2)}', "no Between, Around or OneOf"),
        ('{"scale": Between(2, 1)}', "low < high"),
        ('{"scale": OneOf(("wide", "narrow"))}', "scale"),
    ],
)
def test_wrong_ranges_of_ones_own_end_in_one_line(ranges: str, said: str, tmp_path: Path, capsys, forgotten) -> None:
    """Fails when a mistake in a method file's ranges ends in a stack trace, or in runs."""
    file = custom_method(tmp_path, ranges)
    words = ["sensitivity", "adapter", "--method-file", str(file), "--runs", str(tmp_path / "runs"), *SMALL]
    assert harness.main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_parser_leaves_the_part_open() -> None:
    """Fails when the part is fixed before the benchmark is known: tune where there is one, else the tuning split."""
    options = harness._parser().parse_args(["sensitivity", "chimera-seg"])
    assert options.part == ""
    assert options.n == 8


def test_the_stored_tables_are_what_the_command_prints() -> None:
    """Fails when the page shows a table that the stored records do not give, letter by letter."""
    folder = PROJECT / "results" / "sensitivity"
    page = (folder / "README.md").read_text(encoding="utf-8")
    (command,) = (line for line in page.splitlines() if line.startswith("python harness.py"))
    words = [sys.executable, *command.split()[1:], "--from", "results/sensitivity"]
    printed = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert page.split("<!-- table:begin -->\n\n")[1].split("\n<!-- table:end -->")[0] == printed
    records = [s.record for s in find_stored(folder) if isinstance(s, Stored)]
    assert ("stale" in printed) == any(map(is_stale, records))  # marked while the methods' sources are other ones


def test_the_stored_records_are_sound_and_all_shown() -> None:
    """Fails when a stored number was edited, or records lie there that the page's tables leave out."""
    root = PROJECT / "results" / "sensitivity"
    found = list(find_stored(root))
    assert list(problems(found)) == []
    settings_shown = sum(int(row.split("|")[-2]) for row in _setting_rows(root / "README.md"))
    drawn_methods = {s.record.result.train.method for s in found if s.record.result.evaluation.drawn}
    assert settings_shown == sum(s.record.result.train.method in drawn_methods for s in found)


def _setting_rows(page: Path) -> list[str]:
    """The rows of the tables that go setting by setting."""
    return re.findall(r"^\| (?:default|\d+)[ ‡]+\|.*\|$", page.read_text(encoding="utf-8"), re.MULTILINE)

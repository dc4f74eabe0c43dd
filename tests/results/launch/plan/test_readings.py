"""Readings: a method's constants from one file, told in the key, in the table and before the run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import harness
from methods.registry import METHODS, config_class
from results.launch.plan.readings import Reading, comments, read_readings, template
from results.launch.plan.recipe_changes import recipe_changes
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.settings import config_of
from splits.errors import UserError

TRAINED = [name for name, e in METHODS.items() if e.trained]
TEXT = 'method = "chimera-seg"\nname = "page 5"\n[constants]\nblocks = 1\nsgd_weight = 0.5\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reading.toml"
    path.write_text(TEXT)
    return path


def runs(*methods: str, file: Path | None = None, overrides: tuple[str, ...] = ()) -> list[Run]:
    readings = read_readings([file] if file else [], methods)
    return plan(Request(methods, ("shapes-5i",), folds=(0,), readings=readings, overrides=overrides))


def test_a_reading_goes_before_the_recipe_and_after_what_is_set(file: Path) -> None:
    """Fails when a constant of the file is lost, or one on the command line does not go before it."""
    (plain,), (read,) = runs("chimera-seg"), runs("chimera-seg", file=file)
    assert (config_of(plain.train).blocks, config_of(read.train).blocks) == (2, 1)
    assert config_of(read.train).sgd_weight == 0.5
    assert config_of(read.train).last_share == config_of(plain.train).last_share  # the recipe's
    (more,) = runs("chimera-seg", file=file, overrides=("chimera-seg.blocks=3",))
    assert config_of(more.train).blocks == 3


def test_ablations_keep_what_makes_them(file: Path) -> None:
    """Fails when a method and its ablations are read otherwise, or a reading undoes an ablation."""
    whole, four, other = runs("chimera-seg", "chimera-seg-blocks-4", "clip-to-seg", file=file)
    assert [config_of(run.train).blocks for run in (whole, four)] == [1, 4]
    assert config_of(four.train).sgd_weight == 0.5
    assert [run.train.reading for run in (whole, four, other)] == ["page 5", "page 5", ""]


def test_which_reading_ran_is_in_the_key_and_the_name(file: Path, tmp_path: Path) -> None:
    """Fails when two readings with the same values are taken for one, or a row does not say whose it is."""
    renamed = tmp_path / "other.toml"
    renamed.write_text(TEXT.replace("page 5", "page 6"))
    (plain,), (read,), (again,) = runs("chimera-seg"), runs("chimera-seg", file=file), runs("chimera-seg", file=renamed)
    assert len({run.train.key for run in (plain, read, again)}) == 3
    assert "reading" not in plain.train.essence()  # keys of before stay
    request = Request(("chimera-seg",), ("shapes-5i",), folds=(0,), readings=read_readings([file], ["chimera-seg"]))
    (line,) = recipe_changes(request, plan(request))
    assert line == (
        "chimera-seg on shapes-5i is read by 'page 5' and changed from the harness's own shapes recipe: "
        "chimera-seg.blocks 2 -> 1, chimera-seg.sgd_weight 1.0 -> 0.5"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method = 3", "not a valid Reading"),
        (TEXT.replace("chimera-seg", "chimera"), "'chimera' is no method that is trained"),
        (TEXT.replace("chimera-seg", "clip"), "'clip' is no method that is trained"),
        (TEXT.replace("blocks", "block"), "chimera-seg has no constant 'block'; see `list reading`"),
        (TEXT.replace("page 5", "a\\nb"), "name: expected at most 40 letters, digits"),
        (TEXT.replace("blocks = 1", "blocks = 'many'"), "chimera-seg: blocks"),
        ('method = "clipteacher"\nname = "x"\n[constants]\nlocal_loss = true', "what makes it clipteacher"),
        ('method = "zegclip"\nname = "x"\n[constants]\nprompt_tokens = 3', "a reading of zegclip, which is not run"),
        ('method = "chimera-seg"\nname = "x"\n[constants]\n', "at least 1 item"),
    ],
)
def test_what_is_no_reading_is_one_line(file: Path, text: str, words: str) -> None:
    """Fails when a wrong file ends in a trace, or is taken for a reading of something."""
    file.write_text(text)
    methods = ("clipteacher",) if "clipteacher" in text else ("chimera-seg",)
    with pytest.raises(UserError) as error:
        runs(*methods, file=file)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_two_readings_of_one_method_are_refused(file: Path) -> None:
    """Fails when one of two files wins unsaid."""
    with pytest.raises(UserError, match="two readings of chimera-seg; give one"):
        read_readings([file, file], ["chimera-seg"])


@pytest.mark.parametrize("method", TRAINED)
def test_the_printed_file_holds_every_constant_at_its_default(method: str) -> None:
    """Fails when a constant cannot be set by a reading, comes without its source, or with another value than it has."""
    config, fixed = config_class(method), METHODS[method].fixed
    words = comments(config)
    assert all(words[name] for name in config.model_fields)
    lines = template(method).splitlines()
    fields = [
        line.removeprefix("# ") for line in lines if line.startswith(tuple(f"# {n} = " for n in config.model_fields))
    ]
    told = tomllib.loads("\n".join([line for line in lines if not line.startswith("#")] + fields))
    reading = Reading.parse(told, source="printed")
    assert set(reading.constants) == set(config.model_fields) - fixed.keys() - {"setting"}
    assert config.model_validate(reading.constants | fixed) == config(**fixed)


def test_list_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when the command is told otherwise than it is documented."""
    assert harness.main(["list", "reading", "clip-to-seg"]) == 0
    assert "# temperature = 0.07" in capsys.readouterr().out
    assert harness.main(["list", "reading"]) == 2
    assert harness.main(["list", "methods", "clip-to-seg"]) == 2
    assert harness.main(["list", "reading", "nobody"]) == 2
    assert capsys.readouterr().err.count("\n") == 3

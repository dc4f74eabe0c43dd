"""What `--help` says of options, of every command at once."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

import harness
from results.launch.commands.options import natural, positive
from results.launch.commands.parser import finite, numbers
from tests.reference_pages import _parsers

ACTIONS = [
    (name, action)
    for name, parser, _ in _parsers(harness._parser())
    for action in parser._actions
    if argparse.SUPPRESS not in (action.help, action.default)
]


def test_every_option_says_what_it_is() -> None:
    """Fails when a reader of `--help`, or of docs/commands.md, finds an option without a word."""
    assert [(name, action.dest) for name, action in ACTIONS if not action.help] == []


def test_a_default_is_the_one_that_help_names() -> None:
    """Fails when a command changes the default of a shared option, and its help names another, or none."""
    assert [(name, a.dest, a.default, _stated(a)) for name, a in ACTIONS if _words(a) not in (None, _stated(a))] == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("--notes full --format csv", "--notes full: a CSV has no notes"),
        ("--notes none --show main appendix", "--show appendix: it is what short notes leave out"),
        ("--columns hiou --show costs", "--columns: none of costs"),
        ("--by fold --show costs classes", "--by: none of costs, classes"),
    ],
)
def test_no_option_of_tables_is_ignored(asked: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if an option that the tables asked for do not have is accepted in silence."""
    assert harness.main(["tables", "--from", "results/reference", *asked.split()]) == 2
    assert capsys.readouterr().err.startswith(f"error: {words}")


@pytest.mark.parametrize("show", ["published", "costs"])
def test_no_notes_at_all(show: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Fails if `--notes none` leaves notes under tables of the register alone, or of stored records."""
    root = tmp_path if show == "published" else "results/reference"
    assert harness.main(["tables", "--from", str(root), "--show", show, "--notes", "none"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("**")
    assert "\n- " not in shown


def test_no_option_takes_what_is_no_number() -> None:
    """Fails when an option takes nan or infinity, or whole numbers that neither torch nor a table can hold."""
    assert [(name, action.dest) for name, action in ACTIONS if action.type in (int, float)] == []
    for text in ("nan", "inf", "-inf", "1e999", "x", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a number"):
            finite(text)
    for whole in (numbers, natural, positive):
        assert whole(str(2**63 - 1)) in (2**63 - 1, [2**63 - 1])
        with pytest.raises(argparse.ArgumentTypeError, match=r"below 2\^63"):
            whole(str(2**63))


def _words(action: argparse.Action) -> str | None:
    """A default in words; None where it is nothing, a switch, a place, or all there is."""
    values = action.default if isinstance(action.default, list | tuple) else [action.default]
    if not values or any(v in (None, "", "all") or isinstance(v, bool | Path) for v in values):
        return None
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def _stated(action: argparse.Action) -> str:
    found = re.search(r"default: ([^;]*)", (action.help or "") % {**vars(action), "prog": "harness.py"})
    return found[1].replace(",", "") if found else ""

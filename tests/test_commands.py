"""The command line itself: every command leads somewhere."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import harness

ROOM = Path(harness.__file__).parent / "results" / "launch" / "commands"


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, Callable]]:
    """Each command, those of commands included, and the function it calls."""
    if (command := parser.get_default("command")) is not None:
        yield name, command
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from commands(inner, f"{name} {word}".strip())


COMMANDS = dict(commands(harness._parser()))


def test_every_command_is_listed() -> None:
    """Fails when `--help` does not name a command, or names one that is not there."""
    assert {name.split()[0] for name in COMMANDS} == set(harness.COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_leads_to_its_file(name: str) -> None:
    """Fails when a command calls nothing, or what it does is not in the file that has its name."""
    assert callable(COMMANDS[name])
    assert COMMANDS[name].__module__ == f"results.launch.commands.{name.split()[0].replace('-', '_')}"


@pytest.mark.parametrize("file", sorted(ROOM.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_command_imports_is_there(file: Path) -> None:
    """Fails when a function was renamed or moved: commands import it by its name, and only when they are called."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or find_spec(f"{node.module}.{name}"), f"{node.module}.{name}"

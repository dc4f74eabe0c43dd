"""The command line itself: every command leads somewhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module

import pytest

import harness


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, str]]:
    """Each command, those of commands included, and the function it calls, as `module:name`."""
    if (command := parser.get_default("command")) is not None:
        yield name, command.args[0]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from commands(inner, f"{name} {word}".strip())


COMMANDS = dict(commands(harness._parser()))


def test_every_command_is_listed() -> None:
    """Fails when `--help` does not name a command, or names one that is not there."""
    assert {name.split()[0] for name in COMMANDS} == set(harness.COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_leads_to_a_function(name: str) -> None:
    """Fails when a function was renamed or moved: it is imported by its name, and only when it is called."""
    module, function = COMMANDS[name].split(":")
    assert callable(getattr(import_module(module), function))

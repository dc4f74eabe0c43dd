"""`completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse

from splits.errors import UserError

SHELLS = ("bash", "zsh", "tcsh")
PROGRAM = "zss-harness"  # as pyproject.toml names it


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which shell."""
    parser = commands.add_parser("completion", help="completion of commands and options for a shell (needs shtab)")
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    try:
        import shtab
    except ImportError:
        raise UserError("completion needs shtab: pip install '.[completion]'") from None

    print(shtab.complete(options.parser_of(PROGRAM), shell=options.shell))
    return 0

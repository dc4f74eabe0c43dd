"""The `check` command: does a method keep what the harness takes for granted?"""

from __future__ import annotations

import argparse

from methods import custom as brought
from methods.check import Failed, check
from methods.registry import entry
from results.launch.plan.runs import methods_named
from results.launch.plan.settings import config_for
from splits.errors import UserError


def main(options: argparse.Namespace) -> int:
    """A line for each method, or for each thing that is wrong with it; 1 where there is one."""
    names = methods_named(options.methods) if options.methods else _of_files()
    if not names:
        raise UserError("say which methods: --method-file FILE, or --methods NAME")
    wrong = 0
    for name in names:
        config = config_for(name, tuple(options.set), dict(entry(name).fixed))
        try:
            print(f"{name}: {', '.join(check(name, config=config))}: all kept")
        except Failed as failed:
            wrong += 1
            print("\n".join(f"{name}: {line}" for line in str(failed).splitlines()))
    return 1 if wrong else 0


def _of_files() -> tuple[str, ...]:
    return tuple(name for file in brought.LOADED.values() for name in brought.load(file))

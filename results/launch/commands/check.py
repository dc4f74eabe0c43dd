"""`check`: does a method keep what the harness takes for granted?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from results.launch.commands.parser import Listed, names
from splits.errors import UserError

EXPECTED: Final = {  # of the functions that a method has to write
    "losses": "returns named losses; where nothing is trained it returns {}, and the entry says trained=False",
    "scores": "returns (B, classes, h, w), for any class names",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which methods, with which settings."""
    parser = commands.add_parser("check", help="does a method of your own keep what the harness takes for granted?")
    parser.add_argument("--method-file", nargs="+", type=Path, metavar="FILE", help="files with methods of your own")
    parser.add_argument(
        "--methods", nargs="+", type=names, action=Listed, metavar="M", help="default: those of the files"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="M.FIELD=VALUE",
        help="other settings than the defaults",
    )
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for each method, or for each thing that is wrong with it; 1 where there is one."""
    from methods.check import Failed, check
    from methods.custom import LOADED, load
    from methods.registry import entry
    from results.launch.plan.runs import methods_named
    from results.launch.plan.settings import config_for

    of_files = tuple(name for file in LOADED.values() for name in load(file))
    chosen = methods_named(options.methods) if options.methods else of_files
    if not chosen:
        raise UserError("say which methods: --method-file FILE, or --methods NAME")
    wrong = 0
    for name in chosen:
        config = config_for(name, tuple(options.set), dict(entry(name).fixed))
        try:
            print(f"{name}: {', '.join(check(name, config=config))}: all kept")
        except Failed as failed:
            wrong += 1
            print("\n".join(_line(name, problem) for problem in _told_once(_worded(failed.problems))))
    return 1 if wrong else 0


def _worded(problems: Sequence[str]) -> list[str]:
    """With one line for a function of the interface that the method leaves out, instead of one for each check of it."""
    left_out = {problem: function for problem in problems if (function := _left_out(problem))}
    return [
        *(f"`{function}` is not written: it {EXPECTED[function]}" for function in dict.fromkeys(left_out.values())),
        *(problem for problem in problems if problem not in left_out),
    ]


def _left_out(problem: str) -> str:
    """The function whose absence the interface told of; empty for any other problem."""
    check, _, words = problem.partition(": ")
    if words.strip() != "NotImplementedError:":
        return ""
    return "scores" if check in ("shapes", "vocabulary", "batches") else "losses"


def _told_once(problems: Sequence[str]) -> list[str]:
    """With one line for what several checks met at one place: `file:line: shapes, batches: what was seen`."""
    checks: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        place, rest = _place(problem)
        check, _, words = rest.partition(": ")
        checks.setdefault((place, words), []).append(check)
    return [f"{place}{': ' * bool(place)}{', '.join(names)}: {words}" for (place, words), names in checks.items()]


def _place(problem: str) -> tuple[str, str]:
    """`file:line` and the rest; no place where none is known."""
    place, parted, rest = problem.partition(": ")
    return (place, rest) if parted and place.rpartition(":")[2].isdigit() and ":" in place else ("", problem)


def _line(name: str, problem: str) -> str:
    """`file:line: method: what`, the file as seen from the current folder; `method: what` where no place is known."""
    place, words = _place(problem)
    if not place:
        return f"{name}: {problem}"
    file, _, number = place.rpartition(":")
    path = Path(file)
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{near}:{number}: {name}: {words}"

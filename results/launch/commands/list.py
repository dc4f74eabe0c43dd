"""`list`: the methods and benchmarks there are, and a method's constants with their sources."""

from __future__ import annotations

import argparse

from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What to list."""
    parser = commands.add_parser("list", help="the methods and benchmarks there are, or a method's constants")
    parser.add_argument(
        "what", nargs="?", choices=["methods", "benchmarks", "clips", "reading"], help="default: methods and benchmarks"
    )
    parser.add_argument("method", nargs="?", metavar="METHOD", help="of `list reading`: print a file for --reading")
    parser.add_argument("--data-root", metavar="DIR", help="look for data sets here (else ZSS_DATA_ROOT)")
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print the methods or the benchmarks there are, or both, or a method's constants; returns the exit code."""
    from results.launch.plan.listing import list_benchmarks, list_clips, list_methods
    from results.launch.plan.readings import template

    if (options.what == "reading") != bool(options.method):
        raise UserError("`list reading METHOD` names a method; `list methods` and `list benchmarks` name none")
    if options.what == "reading":
        print(template(options.method), end="")
        return 0
    if options.what == "clips":
        print(list_clips())
        return 0
    if options.what != "benchmarks":
        print(list_methods(), end="\n" if options.what else "\n\n")
    if options.what != "methods":
        print(list_benchmarks(options.data_root), end="\n" if options.what else "\n\n")
    return 0

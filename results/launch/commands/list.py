"""`list`: the methods and benchmarks there are."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What to list."""
    parser = commands.add_parser("list", help="the methods and benchmarks there are")
    parser.add_argument("what", nargs="?", choices=["methods", "benchmarks"])
    parser.add_argument("--data-root", metavar="DIR", help="look for data sets here (else ZSS_DATA_ROOT)")
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print the methods or the benchmarks there are, or both; returns the exit code."""
    from results.launch.plan.listing import list_benchmarks, list_methods

    if options.what != "benchmarks":
        print(list_methods(), end="\n" if options.what else "\n\n")
    if options.what != "methods":
        print(list_benchmarks(options.data_root), end="\n" if options.what else "\n\n")
    return 0

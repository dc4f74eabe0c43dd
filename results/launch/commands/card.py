"""`card`: a model card in Markdown, from the card of finished weights and the records beside them. No torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from results.launch.commands import options as add
from results.store.places import runs_folder


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which weights, and where to write."""
    parser = commands.add_parser("card", help="a model card of finished weights, from model.json and its records")
    parser.add_argument("run", metavar="RUN", help="a run's folder, the key at the end of its name, or a model.json")
    parser.add_argument("--runs", type=Path, default=runs_folder(), metavar="DIR", help=add.RUNS)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there instead of printing it")
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print or write the card; returns the exit code."""
    from results.launch.plan.weight_cards import run_folder
    from results.store.files import write_atomically
    from results.store.folders import CARD
    from results.tables.model_card import model_card

    given = Path(options.run)
    text = model_card(given if given.is_file() else run_folder(options.run, options.runs) / CARD)
    if options.out is None:
        print(text, end="")
    else:
        write_atomically(options.out, text.encode())
        print(options.out)
    return 0

"""`report`: one HTML page of stored records. Needs no data and no torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from results.launch.commands import options as add
from results.store.places import results_folder
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which records, and where page, figures and pictures lie."""
    parser = commands.add_parser("report", help="one HTML page of stored records; needs no data and no torch")
    add.which_records(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=results_folder() / "report.html",
        metavar="FILE",
        help="default: results/report.html",
    )
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="save the page's figures there too, as SVG and PDF for papers"
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        default=results_folder() / "figures",
        metavar="DIR",
        help="sheets of predictions (`picture`) to put on the page; default: results/figures",
    )
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Write the page, and its figures as files where wanted; returns the exit code."""
    from benchmarks.data.parallel import beside, cores
    from results.launch.commands.parse import selection_of
    from results.report.curves import Readings
    from results.report.page import render
    from results.store.files import write_atomically
    from results.store.selection import settled, uncollected
    from results.tables.selected_tables import chosen

    if options.out.suffix.lower() not in ("", ".html", ".htm"):
        raise UserError(f"--out {options.out}: the report is one HTML page; give a name that ends in .html")
    known = Readings()
    with beside("results.report.figures") as elsewhere:
        with uncollected():
            found, every, kept = chosen(selection_of(options), looks=[known], jobs=cores())
        with settled():
            text = render(
                found.records,
                every.confusion,
                every=every.records,
                states=found.states,
                recipes=found.recipes,
                stale=found.stale,
                pictures=sorted(options.pictures.glob("*.png")) if options.pictures.is_dir() else (),
                figures_to=options.figures,
                kept=kept,
                known=known,
                elsewhere=elsewhere,
            )
    write_atomically(options.out, text.encode())
    print(options.out)
    return 0

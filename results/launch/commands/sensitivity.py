"""`sensitivity`: how much do the constants that are ours move a method's hIoU?"""

from __future__ import annotations

import argparse
from pathlib import Path

from results.launch.commands import execution_options
from results.launch.commands import options as add
from results.launch.plan.request import Draw
from results.tables.forms import FORMS
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Methods whose constants are drawn, and all that a run may be given."""
    parser = commands.add_parser("sensitivity", help="how much do the constants that are ours move a method's hIoU?")
    parser.add_argument("drawn", nargs="+", metavar="METHOD", help="whose constants to draw")
    group = parser.add_argument_group("what to draw")
    group.add_argument(
        "--n", type=add.positive, default=Draw.n, metavar="N", help="settings of each method; default: %(default)s"
    )
    group.add_argument(
        "--draw-seed",
        type=add.natural,
        default=Draw.seed,
        metavar="S",
        help="of the draws; a larger --n keeps the settings of a smaller one; default: %(default)s",
    )
    group.add_argument(
        "--against", nargs="+", default=[], metavar="M", help="methods to hold them against, as they are, not drawn"
    )
    group.add_argument(
        "--from", dest="roots", nargs=1, type=Path, metavar="DIR", help="only read the records there: start nothing"
    )
    group.add_argument("--format", default=FORMS[0], choices=FORMS, help="default: %(default)s")
    add.what_to_run(parser, methods=False)
    add.how_to_score(parser, part="")
    execution_options.how_to_execute(parser)
    execution_options.on_a_cluster(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Make what is not there yet, print the tables; returns the exit code."""
    _check(options)
    from results.launch.commands.parse import execution_of, request_of
    from results.launch.execute.follow import Rows
    from results.launch.execute.grid import make_runs, summary
    from results.launch.execute.sensitivity_tables import variation_tables
    from results.launch.execute.submission import statuses
    from results.launch.plan.runs import methods_named
    from results.launch.plan.sensitivity import in_turn, variations_of
    from results.tables.forms import printed

    draw = Draw(methods_named(options.drawn), options.n, options.draw_seed)
    request, files = request_of(options, (*draw.methods, *options.against))
    variations = list(variations_of(request, draw))
    root = options.roots[0] if options.roots else options.runs

    def report(rows: Rows) -> int:
        there = [seen.has_record for _, seen in rows]
        if options.roots and not any(there):
            raise UserError(f"{root} has no record of these runs; leave --from out to make them")
        if any(there):
            print(printed(variation_tables(variations, rows, root, draw.seed), options.format), end="")
        return 0 if options.roots and all(there) else summary(rows)  # what was only read needs no account

    if not options.roots:
        return make_runs(request, files, execution_of(options), in_turn(variations), report)
    if not root.is_dir():
        raise UserError(f"{root} is no folder of runs; leave --from out to make them")
    return report(statuses(in_turn(variations), root))


def _check(options: argparse.Namespace) -> None:
    """Raise UserError for an option that would be ignored."""
    if options.sweep or options.sweep_file:
        raise UserError("sensitivity draws its settings itself; leave --sweep and --sweep-file out, or use `run`")
    if options.weights:
        raise UserError("sensitivity trains, --weights brings finished weights; leave one out")
    names = ("jobs", "force", "retry", "stale", "dry_run", "device")
    ignored = [name for name in names if getattr(options, name)] + (["cluster"] if options.cluster != "local" else [])
    if options.roots and ignored:
        raise UserError(f"--from starts nothing: leave --{ignored[0].replace('_', '-')} out, or --from")

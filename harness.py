"""The command line: train, score and tabulate CLIP-based zero-shot segmentors under one protocol.

    python harness.py --methods all             run everything on the built-in benchmark and print the table
    python harness.py run --methods zegclip --benchmarks pascal-5i --folds 0 1 --seeds 0 1 2 --data-root DIR
    python harness.py run --methods zegclip --cluster slurm --gpus 1 --time 24:00:00    as a batch; then status, collect
    python harness.py eval --run KEY --on coco-20i --data-root DIR      finished weights on another benchmark
    python harness.py data verify pascal-5i --data-root DIR
    python harness.py predict --run KEY --images DIR --classes "a,b,c" --out DIR
    python harness.py sensitivity chimera-seg            how much do the constants that are ours move its numbers?
    python harness.py results verify                     recompute the numbers of every stored record
    python harness.py eval | status | collect | cancel | prefetch | tables | compare | report | export | picture |
                      check-determinism | list | data --help

What plans, or looks at stored records, loads no torch. Exit codes: 0 all done, 1 some runs failed, a gate was not
passed or a check found something, 2 bad arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from results.launch.commands import custom as own
from results.launch.commands import options as add
from results.store.files import disk_words
from splits.errors import UserError

LOOKING = ("tables", "compare", "report", "export", "picture", "results", "list", "data")
COMMANDS = (
    *("run", "sensitivity", "eval", "status", "collect", "cancel", "prefetch", "check-determinism"),
    *LOOKING,
    *own.COMMANDS,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, do, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "run")
    options = _parser().parse_args(arguments)
    try:
        own.bring(options)
        return options.command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was submitted to a cluster goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if not (words := disk_words(error)):
            raise
        print(f"error: {words}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    summary, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="harness.py", description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="|".join(COMMANDS))
    made = commands.add_parser("run", help="train, score, tabulate; the default command")
    add.what_to_run(made)
    add.how_to_score(made)
    add.how_to_execute(made)
    add.on_a_cluster(made)
    made.set_defaults(command=add.calling("results.launch.execute.grid:run"))
    varied = commands.add_parser("sensitivity", help="how much do the constants that are ours move a method's hIoU?")
    add.what_to_draw(varied)
    varied.set_defaults(command=add.calling("results.launch.plan.sensitivity:main"))
    scored = commands.add_parser("eval", help="score finished weights under another evaluation, without training")
    add.what_to_run(scored)
    add.where_to_score(scored)
    add.how_to_score(scored)
    add.how_to_execute(scored)
    add.on_a_cluster(scored)
    scored.set_defaults(command=add.calling("results.launch.execute.grid:evaluate"))
    seen = commands.add_parser("status", help="the state of every run asked for")
    add.what_to_run(seen)
    add.where_to_score(seen)
    add.how_to_score(seen)
    seen.add_argument(
        "--watch", nargs="?", type=add.positive, const=10, metavar="SECONDS", help="look again until no run is at work"
    )
    seen.set_defaults(command=add.calling("results.launch.execute.grid:print_status"))
    _cluster_commands(commands)
    own.add_commands(commands)
    shown = commands.add_parser("tables", help="tables of stored records; needs no data and no torch")
    add.which_records(shown)
    add.which_tables(shown)
    shown.set_defaults(command=add.calling("results.launch.commands.records:print_tables"))
    _lookers(commands)
    drawn = commands.add_parser("picture", help="predictions of finished runs beside image and truth, as PNG")
    add.what_to_run(drawn)
    add.how_to_score(drawn)
    drawn.add_argument("--images", type=add.positive, default=6, metavar="N", help="rows of the sheet; default: 6")
    drawn.add_argument(
        "--choose",
        default="spread",
        choices=["spread", "first"],
        help="spread: from the worst to the best scored image, evenly by rank (default); first: the first ones",
    )
    drawn.add_argument(
        "--out", type=Path, default=add.ROOT / "results" / "figures", metavar="DIR", help="default: results/figures"
    )
    drawn.add_argument(
        "--pseudo-masks", action="store_true", help="instead: what a method's mining makes of training images"
    )
    drawn.set_defaults(command=add.calling("results.launch.run.picture:print_pictures"))
    stored = commands.add_parser("results", help="look after stored records")
    looked = stored.add_subparsers(required=True, metavar="verify").add_parser(
        "verify", help="recompute every record's numbers; a line for each problem; exit code 1 if there is one"
    )
    looked.add_argument("--from", dest="roots", nargs="+", type=Path, default=[add.RUNS], metavar="DIR")
    looked.set_defaults(command=add.calling("results.store.verify:main"))
    repeated = commands.add_parser("check-determinism", help="train and score several ways, compare bit for bit")
    add.what_to_repeat(repeated)
    repeated.set_defaults(command=add.calling("results.launch.run.determinism:main"))
    listed = commands.add_parser("list", help="the methods and benchmarks there are; a method's constants and sources")
    listed.add_argument("what", nargs="?", choices=["methods", "benchmarks", "reading"])
    listed.add_argument("method", nargs="?", metavar="METHOD", help="of `list reading`: prints a file for --reading")
    listed.add_argument("--data-root", metavar="DIR", help="look for data sets here (else ZSS_DATA_ROOT)")
    listed.set_defaults(command=add.calling("results.launch.commands.list:print_list"))
    _data(commands.add_parser("data", help="look at a data set, or make it ready"))
    return parser


def _lookers(commands: argparse._SubParsersAction) -> None:
    """The other commands on stored records."""
    held = commands.add_parser("compare", help="is one method better than another? paired, with intervals")
    held.add_argument("compared", nargs="+", metavar="A B", help="methods or rows of a table; A against each other one")
    add.which_records(held)
    held.add_argument("--format", default="markdown", choices=add.FORMATS)
    held.add_argument(
        "--fail-under",
        type=float,
        metavar="POINTS",
        help="exit code 1 where A - B in hIoU is less than this, in points",
    )
    held.set_defaults(command=add.calling("results.launch.commands.records:print_comparison"))
    written = commands.add_parser("report", help="one HTML page of stored records; needs no data and no torch")
    add.which_records(written)
    written.add_argument("--out", type=Path, default=add.ROOT / "results" / "report.html", metavar="FILE")
    written.add_argument(
        "--figures", type=Path, metavar="DIR", help="save the page's figures there too, as SVG and PDF for papers"
    )
    written.add_argument(
        "--pictures",
        type=Path,
        default=add.ROOT / "results" / "figures",
        metavar="DIR",
        help="sheets of predictions (`picture`) to put on the page; default: results/figures",
    )
    written.set_defaults(command=add.calling("results.launch.commands.records:write_report"))
    told = commands.add_parser("export", help="every field of every record, as CSV or parquet")
    add.which_records(told)
    told.add_argument("--out", type=Path, required=True, metavar="FILE", help="ending in .csv or .parquet")
    told.set_defaults(command=add.calling("results.launch.commands.records:write_export"))


def _data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="verify|prepare")
    looked = actions.add_parser(
        "verify", help="look at every file; a line for each problem; exit code 1 if there is one"
    )
    made = actions.add_parser("prepare", help="build masks, or say what to put where")
    for action, command in ((looked, "verify"), (made, "prepare")):
        action.add_argument("name", metavar="BENCHMARK")
        action.add_argument("--data-root", metavar="DIR", help="folders of data sets (else ZSS_DATA_ROOT)")
        action.add_argument("--year", choices=["2014", "2017"], help="of COCO; default: 2014 for coco-20i")
        action.add_argument("--jobs", type=add.positive, metavar="N", help="processes; default: one a core")
        action.set_defaults(command=add.calling(f"results.launch.commands.data:{command}"))
    looked.add_argument("--list-missing", action="store_true", help="a line for each missing file too")
    made.add_argument("--subset", action="store_true", help="be content with the listed images that are present")
    made.add_argument("--download", action="store_true", help="fetch the official archives first (many GB)")


def _cluster_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    gathered = commands.add_parser("collect", help="wait for submitted runs, then print the tables")
    add.what_to_run(gathered)
    add.where_to_score(gathered)
    add.how_to_score(gathered)
    add.interval(gathered)
    gathered.set_defaults(command=add.calling("results.launch.execute.grid:collect"))
    stopped = commands.add_parser("cancel", help="cancel submitted runs that have not ended")
    add.what_to_run(stopped)
    add.where_to_score(stopped)
    add.how_to_score(stopped)
    stopped.set_defaults(command=add.calling("results.launch.execute.grid:cancel"))
    fetched = commands.add_parser(
        "prefetch", help="fetch the weights of a grid, CLIP's and the bodies', into the cache"
    )
    add.what_to_run(fetched)
    add.how_to_score(fetched)
    fetched.set_defaults(command=add.calling("results.launch.run.prefetch:prefetch"))


if __name__ == "__main__":
    sys.exit(main())

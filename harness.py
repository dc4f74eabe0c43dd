"""The command line: train, score and tabulate CLIP-based zero-shot segmentors under one protocol.

    python harness.py --methods all             run everything on the built-in benchmark and print the table
    python harness.py run --methods zegclip --benchmarks pascal-5i --folds 0 1 --seeds 0 1 2 --data-root DIR
    python harness.py run --methods zegclip --cluster slurm --gpus 1 --time 24:00:00    as a batch; then status, collect
    python harness.py data verify pascal-5i --data-root DIR
    python harness.py predict --run KEY --images DIR --classes "a,b,c" --out DIR
    python harness.py results verify                     recompute the numbers of every stored record
    python harness.py eval | status | collect | cancel | prefetch | tables | compare | report | export | picture |
                      check-determinism | list | data --help

Only run, eval, picture, prefetch and check-determinism load torch. Exit codes: 0 all done, 1 some runs failed, a gate
was not passed or a check found something, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from results.files import disk_words
from results.launch import options as add
from results.launch import own
from splits.errors import UserError

LOOKING = ("tables", "compare", "report", "export", "picture", "results", "list", "data")
COMMANDS = (
    *("run", "eval", "status", "collect", "cancel", "prefetch", "check-determinism"),
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


def run(options: argparse.Namespace) -> int:
    """Train and score what is asked and not there yet; print the tables."""
    from results.launch.grid import make_grid

    return make_grid(options, train=True)


def evaluate(options: argparse.Namespace) -> int:
    """Score finished weights under the evaluation asked for, without training."""
    from results.launch.grid import make_grid

    return make_grid(options, train=False)


def status(options: argparse.Namespace) -> int:
    """Print the state of every run asked for."""
    from results.launch.grid import print_status

    return print_status(options)


def collect(options: argparse.Namespace) -> int:
    """Wait for what was submitted to a cluster; print the tables."""
    from results.launch.grid import collect

    return collect(options)


def cancel(options: argparse.Namespace) -> int:
    """Cancel what was submitted to a cluster and has not ended."""
    from results.launch.grid import cancel

    return cancel(options)


def prefetch(options: argparse.Namespace) -> int:
    """Fetch the weights of a grid, CLIP's and the bodies', into the cache."""
    from results.launch.prefetch import prefetch

    return prefetch(options)


def tables(options: argparse.Namespace) -> int:
    """Print the tables of stored records."""
    from results.launch.shown import print_tables

    return print_tables(options)


def compare(options: argparse.Namespace) -> int:
    """Print paired differences between methods, with their intervals."""
    from results.launch.shown import print_comparison

    return print_comparison(options)


def report(options: argparse.Namespace) -> int:
    """Write the page of stored records, and its figures."""
    from results.launch.shown import write_report

    return write_report(options)


def export(options: argparse.Namespace) -> int:
    """Write every field of every record as CSV or parquet."""
    from results.launch.shown import write_export

    return write_export(options)


def picture(options: argparse.Namespace) -> int:
    """Save sheets of predictions of finished runs, or of mined pseudo masks."""
    if options.pseudo_masks:
        from results.launch.pseudo import print_pseudo_masks

        return print_pseudo_masks(options)
    from results.launch.picture import print_pictures

    return print_pictures(options)


def verify_results(options: argparse.Namespace) -> int:
    """Look at every stored record; recompute its numbers."""
    from results.verify import main

    return main(options)


def check_determinism(options: argparse.Namespace) -> int:
    """Run methods several ways and compare bit for bit."""
    from results.launch.determinism import main

    return main(options)


def list_things(options: argparse.Namespace) -> int:
    """Print the methods or the benchmarks there are."""
    from results.launch.listing import list_benchmarks, list_methods

    what = {"methods": list_methods, "benchmarks": list_benchmarks}
    for name in [options.what] if options.what else what:
        print(what[name](options.data_root), end="\n\n" if not options.what else "\n")
    return 0


def verify_data(options: argparse.Namespace) -> int:
    """Look at every file of a benchmark's data set."""
    from benchmarks.data.commands import verify

    return verify(options)


def prepare_data(options: argparse.Namespace) -> int:
    """Make what is needed of a data set, or say what to put where."""
    from benchmarks.data.commands import prepare

    return prepare(options)


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
    made.set_defaults(command=run)
    scored = commands.add_parser("eval", help="score finished weights under another evaluation, without training")
    add.what_to_run(scored)
    add.how_to_score(scored)
    add.how_to_execute(scored)
    add.on_a_cluster(scored)
    scored.set_defaults(command=evaluate)
    seen = commands.add_parser("status", help="the state of every run asked for")
    add.what_to_run(seen)
    add.how_to_score(seen)
    seen.add_argument(
        "--watch", nargs="?", type=add.positive, const=10, metavar="SECONDS", help="look again until no run is at work"
    )
    seen.set_defaults(command=status)
    _cluster_commands(commands)
    own.add_commands(commands)
    shown = commands.add_parser("tables", help="tables of stored records; needs no data and no torch")
    add.which_records(shown)
    add.which_tables(shown)
    shown.set_defaults(command=tables)
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
    drawn.set_defaults(command=picture)
    stored = commands.add_parser("results", help="look after stored records")
    looked = stored.add_subparsers(required=True, metavar="verify").add_parser(
        "verify", help="recompute every record's numbers; a line for each problem; exit code 1 if there is one"
    )
    looked.add_argument("--from", dest="roots", nargs="+", type=Path, default=[add.RUNS], metavar="DIR")
    looked.set_defaults(command=verify_results)
    repeated = commands.add_parser("check-determinism", help="train and score several ways, compare bit for bit")
    add.what_to_repeat(repeated)
    repeated.set_defaults(command=check_determinism)
    listed = commands.add_parser("list", help="the methods and benchmarks there are")
    listed.add_argument("what", nargs="?", choices=["methods", "benchmarks"])
    listed.add_argument("--data-root", metavar="DIR", help="look for data sets here (else ZSS_DATA_ROOT)")
    listed.set_defaults(command=list_things)
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
    held.set_defaults(command=compare)
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
    written.set_defaults(command=report)
    told = commands.add_parser("export", help="every field of every record, as CSV or parquet")
    add.which_records(told)
    told.add_argument("--out", type=Path, required=True, metavar="FILE", help="ending in .csv or .parquet")
    told.set_defaults(command=export)


def _data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="verify|prepare")
    looked = actions.add_parser(
        "verify", help="look at every file; a line for each problem; exit code 1 if there is one"
    )
    made = actions.add_parser("prepare", help="build masks, or say what to put where")
    for action, command in ((looked, verify_data), (made, prepare_data)):
        action.add_argument("name", metavar="BENCHMARK")
        action.add_argument("--data-root", metavar="DIR", help="folders of data sets (else ZSS_DATA_ROOT)")
        action.add_argument("--year", choices=["2014", "2017"], help="of COCO; default: 2014 for coco-20i")
        action.add_argument("--jobs", type=add.positive, metavar="N", help="processes; default: one a core")
        action.set_defaults(command=command)
    looked.add_argument("--list-missing", action="store_true", help="a line for each missing file too")
    made.add_argument("--subset", action="store_true", help="be content with the listed images that are present")
    made.add_argument("--download", action="store_true", help="fetch the official archives first (many GB)")


def _cluster_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    gathered = commands.add_parser("collect", help="wait for submitted runs, then print the tables")
    add.what_to_run(gathered)
    add.how_to_score(gathered)
    add.interval(gathered)
    gathered.set_defaults(command=collect)
    stopped = commands.add_parser("cancel", help="cancel submitted runs that have not ended")
    add.what_to_run(stopped)
    add.how_to_score(stopped)
    stopped.set_defaults(command=cancel)
    fetched = commands.add_parser(
        "prefetch", help="fetch the weights of a grid, CLIP's and the bodies', into the cache"
    )
    add.what_to_run(fetched)
    add.how_to_score(fetched)
    fetched.set_defaults(command=prefetch)


if __name__ == "__main__":
    sys.exit(main())

"""The command line: train, score and tabulate CLIP-based zero-shot segmentors under one protocol.

    python harness.py --methods all             run everything on the built-in benchmark and print the table
    python harness.py run --methods zegclip --benchmarks pascal-5i --folds 0 1 --seeds 0 1 2 --data-root DIR
    python harness.py run --methods zegclip --cluster slurm --gpus 1 --time 24:00:00    as a batch; then status, collect
    python harness.py data verify pascal-5i --data-root DIR
    python harness.py eval | status | collect | cancel | prefetch | tables | compare | report | export | picture |
                      list | data --help

Only run, eval and picture load torch. Exit codes: 0 all done, 1 some runs failed or a gate was not passed, 2 bad
arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from splits.errors import UserError

ROOT = Path(__file__).resolve().parent
RUNS = ROOT / "results" / "runs"
SETTINGS = ("inductive", "transductive", "transductive-known-extent", "fully-supervised")
FORMATS = ("markdown", "latex", "csv", "html")
TABLES = ("main", "ablations", "classes", "costs", "published")
LOOKING = ("tables", "compare", "report", "export", "picture", "list", "data")
COMMANDS = ("run", "eval", "status", "collect", "cancel", "prefetch", *LOOKING)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, do, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "run")
    options = _parser().parse_args(arguments)
    try:
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
    """Fetch the CLIP weights of a grid into the cache."""
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
    _grid(made)
    _evaluation(made)
    _execution(made)
    _cluster(made)
    made.set_defaults(command=run)
    scored = commands.add_parser("eval", help="score finished weights under another evaluation, without training")
    _grid(scored)
    _evaluation(scored)
    _execution(scored)
    _cluster(scored)
    scored.set_defaults(command=evaluate)
    seen = commands.add_parser("status", help="the state of every run asked for")
    _grid(seen)
    _evaluation(seen)
    seen.add_argument(
        "--watch", nargs="?", type=_positive, const=10, metavar="SECONDS", help="look again until no run is at work"
    )
    seen.set_defaults(command=status)
    _cluster_commands(commands)
    shown = commands.add_parser("tables", help="tables of stored records; needs no data and no torch")
    _stored(shown)
    _tables(shown)
    shown.set_defaults(command=tables)
    _lookers(commands)
    drawn = commands.add_parser("picture", help="predictions of finished runs beside image and truth, as PNG")
    _grid(drawn)
    _evaluation(drawn)
    drawn.add_argument("--images", type=_positive, default=6, metavar="N", help="rows of the sheet; default: 6")
    drawn.add_argument(
        "--choose",
        default="spread",
        choices=["spread", "first"],
        help="spread: from the worst to the best scored image, evenly by rank (default); first: the first ones",
    )
    drawn.add_argument(
        "--out", type=Path, default=ROOT / "results" / "figures", metavar="DIR", help="default: results/figures"
    )
    drawn.add_argument(
        "--pseudo-masks", action="store_true", help="instead: what a method's mining makes of training images"
    )
    drawn.set_defaults(command=picture)
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
    _stored(held)
    held.add_argument("--format", default="markdown", choices=FORMATS)
    held.add_argument(
        "--fail-under",
        type=float,
        metavar="POINTS",
        help="exit code 1 where A - B in hIoU is less than this, in points",
    )
    held.set_defaults(command=compare)
    written = commands.add_parser("report", help="one HTML page of stored records; needs no data and no torch")
    _stored(written)
    written.add_argument("--out", type=Path, default=ROOT / "results" / "report.html", metavar="FILE")
    written.add_argument(
        "--figures", type=Path, metavar="DIR", help="save the page's figures there too, as SVG and PDF for papers"
    )
    written.add_argument(
        "--pictures",
        type=Path,
        default=ROOT / "results" / "figures",
        metavar="DIR",
        help="sheets of predictions (`picture`) to put on the page; default: results/figures",
    )
    written.set_defaults(command=report)
    told = commands.add_parser("export", help="every field of every record, as CSV or parquet")
    _stored(told)
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
        action.add_argument("--jobs", type=_positive, metavar="N", help="processes; default: one a core")
        action.set_defaults(command=command)
    looked.add_argument("--list-missing", action="store_true", help="a line for each missing file too")
    made.add_argument("--subset", action="store_true", help="be content with the listed images that are present")
    made.add_argument("--download", action="store_true", help="fetch the official archives first (many GB)")


def _grid(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to run")
    group.add_argument("--methods", nargs="+", default=["all"], metavar="M", help="names, all, ablation:METHOD")
    group.add_argument(
        "--benchmarks", nargs="+", metavar="B", help="default: shapes-5i, or pascal-5i where a data root is known"
    )
    group.add_argument("--folds", nargs="+", type=_natural, metavar="K", help="default: all")
    group.add_argument("--seeds", nargs="+", type=_natural, default=[0], metavar="S", help="default: 0")
    group.add_argument(
        "--clip",
        metavar="MODEL/TAG",
        help="open_clip model and tag (ViT-B-16/openai) or MODEL/path/to/file; default: built in",
    )
    group.add_argument(
        "--setting",
        default="inductive",
        choices=SETTINGS,
    )
    group.add_argument(
        "--templates",
        metavar="NAME",
        help="sentences that CLIP is asked with: single, multi (ZegCLIP's 15), shapes; default: the benchmark's",
    )
    group.add_argument(
        "--data-root", metavar="DIR", help=f"folders of data sets, joined by {os.pathsep!r} (else ZSS_DATA_ROOT)"
    )
    group.add_argument("--year", choices=["2014", "2017"], help="of COCO; default: 2014 for coco-20i")
    group.add_argument("--subset", action="store_true", help="use the listed images that are present; marked partial")
    group.add_argument(
        "--scale",
        choices=["native", "trial"],
        help="photos at the papers' size, or at one the built-in CLIP can see (default with it: trial)",
    )
    group.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="M.FIELD=VALUE",
        help="a method's or the recipe's setting, e.g. zegclip.prompt_tokens=100 recipe.iterations=600",
    )
    group.add_argument(
        "--weights", type=Path, metavar="FILE", help="score these weights of one method instead of training it"
    )
    group.add_argument("--limit", type=_positive, metavar="N", help="a trial run: N images and N iterations at most")
    group.add_argument(
        "--runs", type=Path, default=RUNS, metavar="DIR", help="where runs are stored; default: results/runs"
    )


def _protocol(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what may be learned from (each choice is another protocol and another training)")
    group.add_argument(
        "--class-names",
        default="dataset",
        choices=["dataset", "renamed"],
        help="renamed: potted plant, tv monitor, ...",
    )
    group.add_argument("--training-images", choices=["keep", "drop"], help="those that contain unseen classes")
    group.add_argument("--crop-decision", choices=["masked", "full"], help="full: as released ZegCLIP; a small leak")
    group.add_argument("--border", choices=["void", "unlabelled"], help="what VOC's border pixels are to a method")


def _evaluation(parser: argparse.ArgumentParser) -> None:
    _protocol(parser)
    group = parser.add_argument_group("how to score (each choice is another protocol)")
    group.add_argument("--part", default="val", choices=["val", "tune"], help="tune: to choose constants on; no result")
    group.add_argument(
        "--kind", choices=["generalised", "episodic-binary"], help="episodic-binary: HSNet's items, the class is given"
    )
    group.add_argument("--items", choices=["all", "hsnet-1000"], help="of episodic-binary; default: all of the list")
    group.add_argument("--absent-class", choices=["skip", "skip-absent-in-truth"])
    group.add_argument(
        "--background", choices=["ignored", "class"], help="class: background is scored too, as one more seen class"
    )
    group.add_argument(
        "--background-below",
        type=float,
        metavar="T",
        help="with --background class: a best score below T says background",
    )
    group.add_argument("--short-side", type=_positive, metavar="PX")
    group.add_argument("--window", type=_positive, metavar="PX")
    group.add_argument("--stride", type=_positive, metavar="PX")
    group.add_argument("--flips", action="store_true", default=None, help="average the scores of the mirrored image in")


def _execution(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to execute (changes no number)")
    group.add_argument("--jobs", type=_positive, metavar="N", help="runs at once; default: one a core, or one a GPU")
    group.add_argument("--threads", type=_positive, default=1, metavar="N", help="CPU threads of a run; default: 1")
    group.add_argument(
        "--workers", type=_natural, default=0, metavar="N", help="data loader processes of a run; default: 0"
    )
    group.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is one")
    group.add_argument("--dry-run", action="store_true", help="print the runs and their states, start nothing")
    group.add_argument("--force", action="store_true", help="throw away what is there and run again")
    group.add_argument("--retry", action="store_true", help="run failed ones again")
    group.add_argument("--stale", action="store_true", help="run again what was made with other sources of its method")


def _cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on a cluster (changes no number)")
    group.add_argument(
        "--cluster",
        default="local",
        choices=["local", "slurm", "debug"],
        help="local: processes here; slurm: arrays of jobs; debug: one after another in this process. Default: local",
    )
    group.add_argument("--partition", metavar="P")
    group.add_argument("--gpus", metavar="[TYPE:]N", help="0 or 1 a run; default: 0")
    group.add_argument("--cpus", type=_positive, metavar="N", help="cores a run; default: threads and workers")
    group.add_argument("--mem", metavar="SIZE", help="memory a run, e.g. 16G")
    group.add_argument("--time", metavar="LIMIT", help="MINUTES, H:MM:SS or D-HH:MM:SS; default: 24:00:00")
    group.add_argument("--account", metavar="A")
    group.add_argument("--qos", metavar="Q")
    group.add_argument("--constraint", metavar="C")
    group.add_argument("--array-parallelism", type=_positive, metavar="N", help="runs of an array at once")
    group.add_argument(
        "--signal-delay", type=_positive, metavar="S", help="seconds before the limit to stop at; default: 90"
    )
    group.add_argument("--requeues", type=_natural, metavar="N", help="time limits a run may hit; default: 10")
    group.add_argument("--setup", action="append", metavar="LINE", help="shell before the run, e.g. 'module load cuda'")
    group.add_argument(
        "--stage-data", metavar="DIR", help="copy the data to this folder of each node, e.g. '$SLURM_TMPDIR', once"
    )
    group.add_argument(
        "--slurm", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="further long options of sbatch"
    )
    group.add_argument("--cluster-config", type=Path, metavar="FILE", help="the same in TOML, also for single methods")
    group.add_argument(
        "--detach",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="submit and go; default on slurm, where --no-detach stays to the end",
    )
    _interval(group)


def _interval(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--interval", type=_positive, default=15, metavar="SECONDS", help="between looks at the cluster; default: 15"
    )


def _cluster_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    gathered = commands.add_parser("collect", help="wait for submitted runs, then print the tables")
    _grid(gathered)
    _evaluation(gathered)
    _interval(gathered)
    gathered.set_defaults(command=collect)
    stopped = commands.add_parser("cancel", help="cancel submitted runs that have not ended")
    _grid(stopped)
    _evaluation(stopped)
    stopped.set_defaults(command=cancel)
    fetched = commands.add_parser("prefetch", help="fetch the CLIP weights of a grid into the cache")
    _grid(fetched)
    _evaluation(fetched)
    fetched.set_defaults(command=prefetch)


def _tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--show", nargs="+", choices=[*TABLES, "all"], help="which tables; default: main, ablations, published"
    )
    parser.add_argument("--by", default="method", choices=["method", "fold"], help="fold: each fold for itself")
    parser.add_argument("--format", default="markdown", choices=FORMATS)


def _stored(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which records")
    group.add_argument(
        "--from",
        dest="roots",
        nargs="+",
        type=Path,
        default=[RUNS],
        metavar="DIR",
        help="folders of runs, of other machines too; default: results/runs",
    )
    group.add_argument("--methods", nargs="+", metavar="M", help="names, all, ablation:METHOD; default: every one")
    group.add_argument("--benchmarks", nargs="+", metavar="B", help="default: every one")
    group.add_argument("--settings", nargs="+", choices=SETTINGS, help="default: every one")


def _positive(text: str) -> int:
    value = _natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

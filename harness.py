"""The command line, and what `import harness` offers: zero-shot segmentors, trained and scored under one protocol.

    python harness.py --methods all             run everything on the built-in benchmark and print the table
    python harness.py run --methods zegclip --benchmarks pascal-5i --folds 0 1 --seeds 0 1 2 --data-root DIR
    python harness.py run --methods zegclip --cluster slurm --gpus 1 --time 24:00:00    as a batch; then status, collect
    python harness.py run --method-file mine.py --methods mine clip --folds 0       a method of your own beside clip
    python harness.py score --predictions DIR --name X --benchmarks B --folds K     predictions of any other system
    python harness.py eval --run KEY --on coco-20i --data-root DIR      finished weights on another benchmark
    python harness.py data verify pascal-5i --data-root DIR
    python harness.py predict --run KEY --images DIR --classes "a,b,c" --out DIR
    python harness.py sensitivity chimera-seg            how much do the constants that are ours move its numbers?
    python harness.py results verify                     recompute the numbers of every stored record
    python harness.py doctor                             what is here, what is missing; --gpu: ten minutes on a GPU
    python harness.py eval | status | collect | cancel | prefetch | tables | compare | report | export | picture |
                      submit | card | check | check-determinism | list | data | completion --help

What plans, or looks at stored records, loads no torch. Exit codes: 0 all done, 1 some runs failed, a gate was not
passed or a check found something, 2 bad arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from results.launch.commands.parser import Parser
from results.launch.commands.plain_output import plain_output
from results.launch.run.environment import vector_variables
from splits.errors import UserError
from splits.packages import too_old, what_is_missing
from splits.plain_text import plain

if TYPE_CHECKING:
    from results.launch.api import compare, evaluate, load, metrics, records, run, segment, tables

__all__ = ["compare", "evaluate", "load", "main", "metrics", "records", "run", "segment", "tables"]

COMMANDS = (
    *("run", "sensitivity", "eval", "status", "collect", "cancel", "prefetch", "predict", "score", "check"),
    *("tables", "compare", "report", "export", "picture", "results", "submit", "card"),
    *("check-determinism", "list", "data", "completion", "doctor"),
)  # each a file of results.launch.commands


def __getattr__(name: str) -> Any:
    """What `import harness` offers to Python, loaded when it is first asked for: the command line need not wait."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module("results.launch.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, do, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "run")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without ± must not end a finished run
    if old := too_old():
        print(f"error: {old}", file=sys.stderr)
        return 2
    with plain_output():
        return _done(arguments)


def _done(arguments: list[str]) -> int:
    """Do what was asked for; every error that is a person's to mend becomes one line."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its advice to programmers is none to whoever runs this
    os.environ.update(vector_variables())  # before NumPy is imported; `--cluster debug` makes runs in this process
    try:
        options = _parser().parse_args(arguments)
        return options.command(_with_custom(options))
    except UserError as error:
        print(f"error: {plain(str(error))}", file=sys.stderr)
        return 2
    except ImportError as error:
        words = what_is_missing(error, arguments[0])
        if not (words := words or (_words(error) if "methods.custom" in sys.modules else "")):
            raise
        print(f"error: {plain(words)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was submitted to a cluster goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not (words := _words(error)):
            raise
        print(f"error: {plain(words)}", file=sys.stderr)
        return 2


def _with_custom(options: argparse.Namespace) -> argparse.Namespace:
    from results.launch.commands.custom_files import with_custom

    return with_custom(options)


def _words(error: Exception) -> str:
    """An error of the disk, or of the file of a brought-along method, in a line; empty for a fault of ours."""
    from methods.custom import blamed
    from results.store.files import disk_words

    return blamed(error) or (disk_words(error) if isinstance(error, OSError) else "")


def _parser(program: str = "harness.py") -> argparse.ArgumentParser:
    assert __doc__ is not None
    summary, _, rest = __doc__.partition("\n\n")
    parser = Parser(
        prog=program, description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for name in COMMANDS:
        import_module(f"results.launch.commands.{name.replace('-', '_')}").add_parser(commands)
    commands.choices["completion"].set_defaults(parser_of=_parser)  # no command may import this file
    return parser


if __name__ == "__main__":
    sys.exit(main())

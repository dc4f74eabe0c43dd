"""Custom data sets and methods that a command line names by their files. No torch here."""

from __future__ import annotations

import argparse

from benchmarks.toml import is_toml
from methods.registry import METHODS


def with_custom(options: argparse.Namespace) -> argparse.Namespace:
    """The options with the names of data sets where TOMLs were given. Those data sets, the methods of files and of
    installed packages, and the data sets of stored runs are known from here on. Raises UserError for a broken one.
    """
    from importlib.metadata import entry_points  # only now: `--help` need not wait for it

    benchmarks = {field: getattr(options, field) for field in ("benchmarks", "on", "benchmark") if field in options}
    named = [text for value in benchmarks.values() for text in ([value] if isinstance(value, str) else value or ())]
    files = getattr(options, "method_file", None) or ()
    roots = [root for root in (getattr(options, "runs", None), *(getattr(options, "roots", None) or ())) if root]
    stored = any(next(root.glob("*/benchmark.json"), None) for root in roots)
    asked = _methods(options)
    runs, weights = getattr(options, "run", None) or (), getattr(options, "weights", None)
    strange = runs or weights or any(name not in METHODS for name in asked)
    if not (any(map(is_toml, named)) or files or stored or strange or entry_points(group="zss_harness.methods")):
        return options  # most often: then the imports below need not be waited for
    from results.launch.plan.custom import load_methods, load_stored, names_of
    from results.launch.plan.method_copies import load_kept

    names = names_of(named)
    for field, value in benchmarks.items():
        benchmarks[field] = [names[text] for text in value] if isinstance(value, list) else value and names[value]
    load_methods(files)
    load_stored(roots)
    if strange:
        load_kept(asked, [runs] if isinstance(runs, str) else runs, weights, roots)
    return argparse.Namespace(**vars(options) | benchmarks)


def _methods(options: argparse.Namespace) -> list[str]:
    """The names of methods on a command line."""
    given = (getattr(options, field, None) or () for field in ("methods", "against", "drawn"))
    return [name for names in given for name in names]

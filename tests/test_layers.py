"""Imports point one way: what is measured knows nothing of who runs it, and only the command line knows argparse."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
# Each may import itself and those before it.
LAYERS = (
    *("splits", "methods", "benchmarks", "results.store", "results.tables", "results.report", "results.tuning"),
    *("results.launch.plan", "results.launch.run", "results.launch.execute"),
    *("results.launch.commands", "results.launch.api", "harness"),
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the project, tests apart: its name and its file."""
    tops = dict.fromkeys(layer.partition(".")[0] for layer in LAYERS if layer != "harness")
    files = [PROJECT / "harness.py", *(path for top in tops for path in sorted((PROJECT / top).rglob("*.py")))]
    parts = {path: path.relative_to(PROJECT).with_suffix("").parts for path in files}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): path for path, p in parts.items()}


def layer(module: str) -> int:
    """The number of a module's layer; the packages that only hold layers are below all."""
    return next((i for i, name in enumerate(LAYERS) if f"{module}.".startswith(f"{name}.")), -1)


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Modules of the project that a module imports, wherever in its file, and the lines."""
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{modules()[module]}:{node.lineno}: a relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else str(node.module) for name in inner]
        else:
            continue
        yield from ((name, node.lineno) for name in names if name in modules())


def test_imports_point_one_way() -> None:
    """Fails when a layer imports a later one, also late in a function or for types alone."""
    wrong = [
        f"{modules()[module].relative_to(PROJECT)}:{line}: {module} -> {target}"
        for module in modules()
        for target, line in imports(module)
        if layer(target) > layer(module)
    ]
    assert wrong == []


def test_no_import_goes_in_a_circle() -> None:
    """Fails when modules import each other, however many are between."""
    graph = {module: {target for target, _ in imports(module)} - {module} for module in modules()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def test_only_the_command_line_knows_argparse() -> None:
    """Fails when parsed options get below the commands. Programs of their own (`python -m ...`) may parse theirs."""
    knowing = []
    for module, path in modules().items():
        text = path.read_text(encoding="utf-8")
        program = 'if __name__ == "__main__":' in text and not module.startswith("results.")
        if layer(module) < LAYERS.index("results.launch.commands") and not program:
            knowing += [module for word in ("argparse", "Namespace") if word in text]
    assert knowing == []

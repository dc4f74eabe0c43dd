"""Where and with what a record was made. Imports no torch by itself."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import os
import platform
import socket
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from methods.custom import file_of
from methods.registry import entry
from results.store.places import PROJECT

OURS = {"methods": PROJECT}  # top-level package -> the folder it lies in
HARNESS = ("benchmarks", "harness", "results", "splits")  # its other code: the commit tells of it
BROUGHT = "method file"  # stands for the module of a method that came in a file
FROZEN = "frozen.json"  # in a copy of the project's code: what it is a copy of
PACKAGES = (
    "torch",
    "open_clip_torch",
    "onedl-mmsegmentation",
    "onedl-mmcv",
    "lightning-fabric",
    "numpy",
    "opencv-python",
)


def package_versions() -> dict[str, str]:
    """Versions of what can change a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


@cache
def git_state() -> tuple[str, bool]:
    """Commit (empty outside a checkout of ours) and whether tracked files differ from it; of a frozen copy, its
    original's.
    """
    if frozen := _frozen():
        return frozen["commit"], frozen["dirty"]
    commit, _, top = _git("rev-parse", "HEAD", "--show-toplevel").partition("\n")
    if not top or Path(top) != PROJECT:  # installed, or unpacked, within a repository that is another's
        return "", False
    return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))


def code_sha256() -> str:
    """sha256 over the whole code, where it is a copy frozen at submission; else empty, the commit says it."""
    return _frozen().get("code_sha256", "")


@cache
def sources_sha256(method: str) -> str:
    """sha256 over the method's own code: its builder and config, and what they import of `methods`.

    Of a file of one's own: its text, what it imports of `methods`, and the modules it imports that lie in its folder.
    Comments and docstrings are left out, so that explaining a method better does not make its runs stale.
    """
    known = entry(method)
    waiting = [target.split(":")[0] for target in (known.builder, known.config)]
    places = {**OURS} | {root: place for name in waiting if (place := _place_of(root := name.split(".")[0]))}
    found: dict[str, str] = {}
    file = file_of(method)
    if known.source:  # a file of one's own: it counts wherever it lies
        found[BROUGHT], waiting = bare_code(known.source), _imports(_nodes(known.source))
    while waiting:
        module = waiting.pop()
        root = module.split(".")[0]
        if file is not None and root not in places and (place := _place_beside(root, Path(file.path).parent)):
            places[root] = place
        path = _source_of(module, places)
        if path is None or module in found:
            continue
        found[module], imports = _code_and_imports(
            path, module if path.stem == "__init__" else module.rpartition(".")[0]
        )
        waiting += imports
        if file is not None and root not in OURS:
            waiting.append(module.rpartition(".")[0])  # importing a module runs its packages
    content = hashlib.sha256()
    for module in sorted(found):
        content.update(f"{module}\0{found[module]}\0".encode())
    return content.hexdigest()


@cache
def _code_and_imports(path: Path, package: str) -> tuple[str, tuple[str, ...]]:
    """A file's bare code and the modules it imports; most files are shared by many methods."""
    source = path.read_text(encoding="utf-8")
    nodes = _nodes(source)
    return _bare(source, nodes), tuple(_imports(nodes, package))


def bare_code(source: str) -> str:
    """Python source without comments, docstrings and blank lines; no other letter is touched.

    >>> bare_code('x = 1  # one\\n')
    'x = 1'
    """
    return _bare(source, _nodes(source))


def _nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def _bare(source: str, nodes: Sequence[ast.AST]) -> str:
    lines = source.splitlines()
    docstrings = _docstrings(nodes)
    for row, column in _comments(source, lines, nodes, docstrings):
        lines[row - 1] = lines[row - 1][:column]
    for text in docstrings:
        end = text.end_lineno or text.lineno
        lines[text.lineno - 1 : end] = [""] * (end - text.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _docstrings(nodes: Iterable[ast.AST]) -> list[ast.Expr]:
    found = []
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                found.append(first)
    return found


def _comments(
    source: str, lines: Iterable[str], nodes: Iterable[ast.AST], docstrings: Iterable[ast.Expr]
) -> list[tuple[int, int]]:
    """Line (from 1) and column of every comment; places within docstrings may be among them."""
    explaining = {id(text.value) for text in docstrings}
    values = (n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in explaining)
    if any("#" in v if isinstance(v, str) else b"#" in v for v in values if isinstance(v, str | bytes)):
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)  # slow
        return [token.start for token in tokens if token.type == tokenize.COMMENT]
    # no string but docstrings holds the sign: the first one of a line begins a comment
    return [(row, column) for row, line in enumerate(lines, 1) if (column := line.find("#")) >= 0]


def here() -> dict[str, Any]:
    """The fields of a Provenance that are the same for whatever this process makes."""
    commit, dirty = git_state()
    return {
        "commit": commit,
        "dirty": dirty,
        "packages": package_versions(),
        "python": python_version(),
        "host": host(),
    }


def now() -> str:
    """The time, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def host() -> str:
    """The machine's name."""
    return socket.gethostname()


def node() -> str:
    """The machine's name as a cluster has it, else as it calls itself."""
    return os.environ.get("SLURMD_NODENAME") or host()


def python_version() -> str:
    """Interpreter and platform."""
    return f"{platform.python_implementation()} {platform.python_version()} on {sys.platform} {platform.machine()}"


@cache
def _frozen() -> dict[str, Any]:
    path = PROJECT / FROZEN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _place_of(root: str) -> Path | None:
    """The folder that a top-level package or module of somebody else's lies in; None where it is none of a file."""
    if root in ("methods", "") or root in sys.builtin_module_names:
        return None
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return None
    origin = Path(spec.origin) if spec and spec.origin else None
    return None if origin is None else origin.parent.parent if origin.name == "__init__.py" else origin.parent


def _place_beside(root: str, folder: Path) -> Path | None:
    """The folder that a top-level module lies in, where that is within a method file's folder and no library's."""
    place = None if root in sys.stdlib_module_names else _place_of(root)
    if place is None or not (place := place.resolve()).is_relative_to(folder):
        return None
    library = {"site-packages", "dist-packages"} & {*place.relative_to(folder).parts}
    return None if library or (place == PROJECT and root in HARNESS) else place


def _source_of(module: str, places: Mapping[str, Path] = OURS) -> Path | None:
    place = places.get(module.split(".")[0])
    return None if place is None else _file_of(module, place)


@cache
def _file_of(module: str, place: Path) -> Path | None:
    path = place.joinpath(*module.split("."))  # find_spec would import the packages above, and torch with them
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imports(nodes: Iterable[ast.AST], package: str = "") -> list[str]:
    """Modules named by import statements, the names imported from them included (they may be modules too)."""
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return names


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

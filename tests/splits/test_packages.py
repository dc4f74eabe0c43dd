"""Packages that are not there: the lists are those of pyproject.toml, and one line says what to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from splits.packages import BASE, TRAIN, too_old, what_is_missing

PROJECT = Path(__file__).resolve().parents[2]
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BLOCKER = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""
REFERENCE = ("--from", "results/reference")
OF_THE_BASE = (
    ("list",),
    ("status", "--methods", "all"),
    ("run", "--methods", "all", "--dry-run"),
    ("tables", *REFERENCE, "--show", "main"),
    ("compare", "zegclip", "clip", *REFERENCE),
    ("results", "verify", *REFERENCE),
)


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}


def without(packages: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a Python that cannot import these packages."""
    (folder / "sitecustomize.py").write_text(BLOCKER.replace("NAMES", repr(set(packages))), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{folder}:{PROJECT}"}
    return subprocess.run(
        [sys.executable, "harness.py", *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True
    )


def test_the_lists_are_those_that_are_installed() -> None:
    """Fails when pyproject.toml asks for a package, in base or `[train]`, that the messages do not know, or the
    other way."""
    assert set(BASE.values()) == names(DECLARED["dependencies"])
    assert set(TRAIN.values()) == names(DECLARED["optional-dependencies"]["train"])


@pytest.mark.parametrize("command", OF_THE_BASE, ids=lambda words: words[0])
def test_what_looks_at_records_needs_the_base_alone(command: tuple[str, ...], tmp_path: Path) -> None:
    """Fails when a command of the base install imports a package of `[train]`."""
    done = without(TRAIN, tmp_path, *command)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["report", "export"])
def test_pages_and_exports_need_the_base_alone(name: str, tmp_path: Path) -> None:
    """Fails when `report` or `export` imports a package of `[train]`."""
    out = tmp_path / {"report": "page.html", "export": "runs.csv"}[name]
    done = without(TRAIN, tmp_path, name, *REFERENCE, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--methods", "constant", "--folds", "0", "--limit", "2"),
        ("check", "--methods", "clip"),
        ("check-determinism", "--method", "constant"),
        ("predict", "--methods", "clip", "--images", "docs", "--classes", "a", "--out", "x"),
        ("score", "--predictions", "docs", "--name", "mine", "--benchmarks", "shapes-5i", "--folds", "0"),
        ("prefetch", "--methods", "clip"),
    ],
    ids=lambda words: words[0],
)
def test_what_trains_says_what_to_install(command: tuple[str, ...], tmp_path: Path) -> None:
    """Fails when a command of `[train]` ends in a stack trace in a base install, or does not name the extra."""
    takes_runs = command[0] in ("run", "predict", "score")
    done = without(TRAIN, tmp_path, *command, *(("--runs", str(tmp_path)) if takes_runs else ()))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: `{command[0]}` needs ")
    assert line.endswith("pip install '.[train]'")


def test_a_python_without_packages_gets_one_line() -> None:
    """Fails when the system's Python, in which nothing is installed, answers with a stack trace."""
    done = subprocess.run([sys.executable, "-S", "harness.py", "list"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert sys.executable in line
    assert "source .venv/bin/activate" in line


def test_an_older_python_is_named() -> None:
    """Fails when Python 3.10 gets no line, or 3.11 gets one."""
    assert "3.10" in str(too_old((3, 10)))
    assert too_old((3, 11)) is None


def test_other_missing_modules_are_no_concern_of_ours() -> None:
    """Fails when a typing error in an import is taken for a package that is not installed."""
    assert what_is_missing(ModuleNotFoundError("no", name="results.launch.nothing"), "run") is None
    assert what_is_missing(ImportError("cannot import name"), "run") is None

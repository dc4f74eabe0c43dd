"""The project installed from its wheel, not cloned: everything is there, and nothing is written beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
REFERENCE = PROJECT / "results" / "reference"
PACKAGES = ("benchmarks", "methods", "splits", "results")
# records are no part of the package
STORED = ("reference", "sensitivity", "pretraining", "reliability", "runs", "figures", "records")

pytest.importorskip("setuptools", minversion="77")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages: building leaves files behind, and takes older ones for new."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        stored = STORED if Path(folder) in (PROJECT / "results", PROJECT / "results" / "tuning") else ()
        return {name for name in names if name in stored or name == "__pycache__" or name.endswith((".tmp", ".html"))}

    copy = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, copy / package, ignore=left_out)
    for name in ("harness.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages, within a repository that is somebody else's."""
    repository = tmp_path_factory.mktemp("repository")
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    pip("install", "--target", str(repository / "site"), str(wheel))
    return repository / "site"


def pip(command: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--no-index", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def python(site: Path, folder: Path, *arguments: str, **variables: str) -> str:
    """What the installed copy prints, called from a folder."""
    kept = {name: value for name, value in os.environ.items() if name != "ZSS_RUNS"}
    environment = kept | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_package_and_data_file_is_in_the_wheel(source: Path, wheel: Path) -> None:
    """Fails when a new folder or data file is in the checkout alone: an installed copy would miss it."""
    expected = {name for name in files(source) if name.partition("/")[0] in PACKAGES} | {"harness.py"}
    expected = {name for name in expected if "egg-info" not in name}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_it_lists_and_tabulates_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    """Fails when a command needs a file of the checkout, tables differ there, or anything is written unbidden."""
    before = files(site)
    assert "chimera-seg" in python(site, tmp_path, "-m", "harness", "list", "methods")
    tables = python(site, tmp_path, "-m", "harness", "tables", "--from", str(REFERENCE))
    assert tables == python(PROJECT, tmp_path, "-m", "harness", "tables", "--from", str(REFERENCE))
    assert tables == python(site, tmp_path, "-m", "harness", "tables", ZSS_RUNS=str(REFERENCE))
    assert files(site) == before
    assert not files(tmp_path)


def test_runs_go_to_the_current_folder(site: Path, tmp_path: Path) -> None:
    """Fails when runs or reports of an installed copy would lie beside the package, where nobody looks for them."""
    program = "from results.store.places import *; print(PROJECT, results_folder(), runs_folder())"
    expected = (site, tmp_path / "results", tmp_path / "results" / "runs")
    assert python(site, tmp_path, "-c", program).split() == [str(path) for path in expected]


def test_no_commit_of_another_repository(site: Path, tmp_path: Path) -> None:
    """Fails when a record names the commit of the repository that the environment happens to lie in as its code's."""
    program = "from results.store.provenance import git_state; print(*git_state())"
    assert python(site, tmp_path, "-c", program).split(" ") == ["", "False\n"]


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment of its own, with the wheel and what its base asks for."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=True)
    constraints = ("--constraint", str(PROJECT / "constraints.txt"))
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--retries", "1", *constraints, wheel]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if re.search("No matching distribution|NewConnectionError|ConnectTimeout|ProxyError", done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_the_base_install_runs_on_what_it_asks_for(base: Path, tmp_path: Path) -> None:
    """Fails when the base install asks for too little to tabulate, or for torch: in an environment of its own."""

    def done(*arguments: str) -> str:
        words = [str(base / "zss-harness"), *arguments]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment).stdout

    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "ZSS_RUNS")}
    reference = ("--from", str(REFERENCE))
    assert "zegclip" in done("tables", *reference)
    assert "zegclip" in done("compare", "zegclip", "clip", *reference)
    assert " 0 problems" in done("results", "verify", *reference)
    assert "planned" in done("status", "--methods", "all")
    assert "clip" in done("list")
    done("report", *reference, "--out", "page.html")
    done("export", *reference, "--out", "runs.csv")
    packages = {path.name for path in base.parent.glob("lib/*/site-packages/*")}
    assert "pandas" in packages
    assert "torch" not in packages

"""The documentation as web pages, the notebook, the metadata and the files that a repository is expected to have."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import harness
from tests.croissant import croissant

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs"
NOTEBOOK = DOCS / "shapes_tour.ipynb"
VAGUE = (  # turns of phrase that readers could not use
    r"whoever (has|holds)",
    r"is told off",
    r"are no rows of",
    r"be compared on test images unsaid",
    r"are there once",
    r"is caught up with",
    r"everywhere is marked .* and warned of",
    r"a part is of each",
    r"of your own nothing is known",
    r"in turns, medians",
)


def test_the_pages_build_and_no_link_is_broken(tmp_path: Path) -> None:
    """Fails when a page is not in the navigation, or a link or an anchor leads nowhere."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "commands.html").is_file()


def test_every_page_is_in_the_index() -> None:
    """Fails when a reader of docs/index.md cannot get to a page."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} == set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_the_notebook_runs(tmp_path: Path) -> None:
    """Fails when a cell of the tour raises: its code is run as a script, from the project's folder."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code"), "commit it without outputs"
    (tmp_path / "tour.py").write_text("\n\n".join(code), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "tour.py")]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_examples_name_what_there_is() -> None:
    """Fails when docs/python.md calls a function of `harness`, or passes an argument, that does not exist."""
    import inspect

    text = (DOCS / "python.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    named = {
        call.func.attr: call
        for call in calls
        if isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "harness"
    }
    assert set(named) == set(harness.__all__) - {"main"}
    for name, call in named.items():
        parameters = inspect.signature(getattr(harness, name)).parameters
        assert {word.arg for word in call.keywords} <= set(parameters), name


def test_the_metadata_of_the_built_in_world_are_valid() -> None:
    """Fails when Croissant metadata break the format, or do not say that the data are synthetic."""
    content = json.loads(croissant())
    assert content["rai:hasSyntheticData"] is True
    mlcroissant = pytest.importorskip("mlcroissant")
    data = mlcroissant.Dataset(jsonld=str(PROJECT / "benchmarks" / "shapes" / "croissant.json"))
    assert not list(data.metadata.issues.errors)
    assert sum(1 for _ in data.records("classes")) == 21


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when the completion knows no command, or is for another program than the installed one."""
    if find_spec("shtab") is None:
        assert harness.main(["completion", shell]) == 2
        return
    assert harness.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "zss-harness" in script
    assert "check-determinism" in script


def test_what_others_cite_is_the_version_that_is_installed() -> None:
    """Fails when CITATION.cff or CHANGELOG.md names another version than pyproject.toml."""
    version = re.search(r'^version = "(.+)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"\nversion: {version[1]}\n" in (PROJECT / "CITATION.cff").read_text()
    assert f"\n## {version[1]}\n" in (PROJECT / "CHANGELOG.md").read_text()


def test_the_page_for_agents_is_short() -> None:
    """Fails when AGENTS.md grows over 60 lines."""
    assert len((PROJECT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted(DOCS.glob("*.md")))])
def test_no_page_says_it_in_a_way_that_readers_could_not_use(page: str) -> None:
    """Fails when a turn of phrase comes back that readers could not use."""
    text = " ".join((PROJECT / page).read_text(encoding="utf-8").split())
    assert [phrase for phrase in VAGUE if re.search(phrase, text)] == []

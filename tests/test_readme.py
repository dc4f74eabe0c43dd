"""README and docs: their tables, their commands and the files they name are those of the project."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import harness
from tests.readme_blocks import BLOCKS, block, printed
from tests.reference_pages import WRITTEN

PROJECT = Path(__file__).resolve().parent.parent
NAMES = ("README.md", "CONTRIBUTING.md", "AGENTS.md", "results/reference/README.md")
DOCS = sorted(path for path in (PROJECT / "docs").glob("*.md") if f"docs/{path.name}" not in WRITTEN)
PAGES = {path: path.read_text(encoding="utf-8") for path in (*(PROJECT / name for name in NAMES), *DOCS)}
EVERYTHING = "\n".join(PAGES.values())
JOINED = EVERYTHING.replace("\\\n", " ")  # a command over several lines is one
COMMANDS = sorted({line.split("#")[0].strip() for line in re.findall(r"^python harness\.py.*$", JOINED, re.MULTILINE)})
NAMED = sorted(set(re.findall(r"`python (harness\.py [a-z-][^`]+)`", EVERYTHING.replace("\n", " "))))
README = PAGES[PROJECT / "README.md"]


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, blocks in BLOCKS.items() for name in blocks])
def test_what_a_page_says_is_what_the_records_give(page: str, name: str) -> None:
    """Fails when a page shows a table or a verdict that the stored records do not give, letter by letter.

    After a wanted change: `make readme`, then read the difference.
    """
    assert block((PROJECT / page).read_text(encoding="utf-8"), name) == BLOCKS[page][name]()


@pytest.mark.parametrize("page", WRITTEN)
def test_a_reference_page_is_what_the_code_says(page: str) -> None:
    """Fails when an option, a config field or a field of the record changed and its page did not: `make readme`."""
    assert (PROJECT / page).read_text(encoding="utf-8") == WRITTEN[page]()


def test_a_table_is_the_same_again() -> None:
    """Fails when the same command prints other numbers the next time."""
    assert printed("--show", "main") == printed("--show", "main")


def test_readme_is_short_and_fits_a_terminal() -> None:
    """Fails when README grows over 900 words, or a line over 100 columns."""
    assert len(README.split()) <= 900
    assert [line for line in README.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("command", [*COMMANDS, *(f"python {words}" for words in NAMED)])
def test_every_command_is_one_that_exists(command: str) -> None:
    """Fails when a page names a command, an option or a choice that the harness does not have."""
    words = shlex.split(command.split(" > ")[0])[2:]
    words = words if words[0] in harness.COMMANDS else ["run", *words]
    options = harness._parser().parse_args(words)
    assert callable(options.command)


def test_every_file_it_names_is_there() -> None:
    """Fails when a file or folder moved and a page still names its old place."""
    linked = [
        page.parent / name for page, text in PAGES.items() for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    ]
    named = re.findall(r"`((?:benchmarks|methods|splits|results|tests|docs)/[\w./-]+)`", EVERYTHING)
    made = {"results/runs", "results/reliability/trials.json", "results/figures"}  # by running
    made |= {"results/gpu-check", "results/gpu-check/gpu-check.json"}
    made |= {"tests/ROOM/test_FILE.py"}  # a pattern
    missing = [name for name in named if not (PROJECT / name).exists() and name.rstrip("/") not in made]
    missing += [str(path) for path in linked if not path.exists()]
    assert linked
    assert named
    assert missing == []

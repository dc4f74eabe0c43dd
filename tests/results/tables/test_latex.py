"""LaTeX as TeX sees it: every table compiles, stays on its page and can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.store.selection import Selection
from results.tables.comparison import Wanted, compare_records
from results.tables.families import reader
from results.tables.judge import Judge
from results.tables.kinds import KINDS
from results.tables.latex import PREAMBLE, latex
from results.tables.latex_fit import GAP, SIZE, SMALLEST, WIDEST, cut, fit
from results.tables.published_alone import published_alone
from results.tables.selected_tables import chosen
from results.tables.table import Table
from results.tables.tables import build_tables
from results.tables.views import COLUMNS, View
from tests.results.factory import judge
from tests.results.tables.test_forms import tables
from tests.results.tables.test_tables import grid

PROJECT = Path(__file__).resolve().parents[3]


def no_latex() -> bool:
    """Is there no compiler, or not the package that tables need?"""
    if not (shutil.which("pdflatex") and shutil.which("kpsewhich")):
        return True
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(no_latex(), reason="no pdflatex with booktabs here")
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
@pytest.mark.parametrize("of", ["hostile", "wide", "reference"])
def test_latex_compiles_fits_and_can_be_read(tmp_path: Path, columns: str, of: str, request: pytest.FixtureRequest):
    """Fails if a table, long or not, with hostile names or empty, is no LaTeX, overflows an A4 page, or is too small.

    Each tabular's size is that of its letters after `\fitted` has scaled it down, as TeX measures it.
    """
    if of != "reference":
        request.getfixturevalue("toy")
    shown = {"hostile": lambda: tables()[-14:], "wide": wide, "reference": of_reference}[of]()
    body = "\n".join(latex(table) for table in shown)
    preamble = "\n".join(line.removeprefix("% ") for line in PREAMBLE.splitlines()[1:])
    measured = (
        "\\let\\plainfitted\\fitted\\newsavebox\\whole\\renewcommand{\\fitted}[1]{\\sbox\\whole{#1}"
        f"\\typeout{{LETTERS \\the\\dimexpr {SIZE}pt*\\linewidth/\\wd\\whole\\relax}}\\plainfitted{{#1}}}}"
    )
    text = (
        f"\\documentclass[a4paper,{columns}]{{article}}\n{preamble}\n{measured}\n\\extrafloats{{500}}\n"
        f"\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    (tmp_path / "tables.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Float too large" not in done.stdout
    sizes = [float(size) for size in re.findall(r"LETTERS ([\d.]+)pt", done.stdout)]
    assert len(sizes) == body.count(r"\begin{tabular}")
    assert min(sizes) >= SMALLEST


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("of", [lambda: tables(), lambda: wide()], ids=["golden", "wide"])
def test_no_panel_is_wider_than_the_smallest_letters_allow(of):
    """Fails if a panel of columns is too wide, loses a column or a row name, or is cut off where there was room."""
    for table in of():
        cells = [[(cell, "") for cell in row] for row in table.cells()]
        found = fit(table.columns, cells)
        assert all(found.width(panel) <= WIDEST for panel in found.panels)
        assert all(panel[0] == 0 for panel in found.panels)
        assert {i for panel in found.panels for i in panel} == set(range(len(table.columns)))
        if sum(found.widths) + GAP * len(found.widths) <= WIDEST:
            assert len(found.panels) == 1


@given(st.lists(st.floats(1, 100), min_size=1, max_size=30), st.floats(20, 300))
def test_cuts_are_few_and_fit(sizes: list[float], limit: float):
    """Fails if a cut loses or repeats something, a part is too large, or there are more parts than filling up makes."""
    parts = cut(sizes, limit)
    assert [i for part in parts for i in part] == [*range(len(sizes))]
    assert all(len(part) == 1 or sum(sizes[i] for i in part) <= limit * (1 + 1e-9) for part in parts)
    filled, most = 0.0, 1
    for size in sizes:
        filled, most = (filled + size, most) if not filled or filled + size <= limit else (size, most + 1)
    assert len(parts) <= most


def test_cuts_are_even():
    """Fails if a table of one row or column more than fits is cut into a full part and an orphan."""
    assert [len(part) for part in cut([10.0] * 11, 100)] == [6, 5]


@cache
def of_reference() -> list[Table]:
    """Every table over the reference records, with every column and with all notes, published ones and comparisons."""
    found, every, kept = chosen(Selection((PROJECT / "results" / "reference",)))
    views = (View(KINDS, None, COLUMNS), View(("main",), None, ("hiou",), "full"), View(("main",), "fold", COLUMNS))
    judge = Judge(reader(every.confusion, kept), every.records)
    shown = [table for view in views for table in build_tables(found.records, view=view, judge=judge)]
    wanted = Wanted(("zegclip", "clip", "zegclip-baseline"))
    return [*shown, *compare_records(found.records, wanted, found.confusion)[0], *published_alone()]


def wide() -> list[Table]:
    """Every column, rows of long names, and classes of more methods than a page is wide."""
    records = [r for i in range(16) for r in grid(f"a-method-with-a-rather-long-name-{i}")]
    return build_tables(records, view=View(("main", "classes", "appendix"), columns=COLUMNS), judge=judge(records))

"""LaTeX and HTML of the same tables: nothing in a name can break them, and what is best is marked."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from results.tables.html import html
from results.tables.kinds import KINDS
from results.tables.latex import escaped, latex
from results.tables.table import Table
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results import factory
from tests.results.factory import SHAPES, judge, record
from tests.results.tables.test_tables import CASES, grid

HOSTILE = '<script>alert(1)</script> & 100% $x_1^2$ #{\\input} ~"quoted" [a] ± – Δ †‡ ✓ é'
pytestmark = pytest.mark.usefixtures("toy")


def hostile() -> list[Table]:
    """Every kind of table with a name that means something to LaTeX and to HTML."""
    recipe = SHAPES.model_copy(update={"name": HOSTILE})
    return build_tables(grid(seeds=(0, 1, 2)) + grid("zeta", 0.5, 0.1, recipe=recipe), view=View(KINDS))


@cache
def tables() -> list[Table]:
    """The tables of every golden case, each fold and supplement included."""
    every = []
    for records, options in CASES.values():
        every += build_tables(records, **{**options, "view": replace(options.get("view", View()), kinds=KINDS)})
    return every + build_tables(grid(), view=View(by="fold")) + hostile()


class Elements(HTMLParser):
    """Counts tags and gathers the text of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def parsed(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    return found


def test_latex_has_a_cell_for_every_column():
    """Fails if a letter in a name adds or removes cells: each row has one `&` less than its float has columns."""
    for table in tables():
        if any(column.wide for column in table.columns):
            continue  # sentences are no tabular
        found = 0
        for part in latex(table).split(r"\begin{tabular}")[1:]:
            lines = part.splitlines()
            start, end = lines.index(r"\midrule"), lines.index(r"\bottomrule")
            body = [line for line in lines[start + 1 : end] if line.endswith(r"\\")]
            columns = len(re.findall(r"(?<!\\)&", lines[start - 1])) + 1
            for line in body if len(table.frame) else []:
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
            found += len(body)
        assert found >= max(len(table.frame), 1)


def test_latex_escapes_every_letter_that_means_something():
    """Fails if a name can start a command, a formula, a comment or an argument."""
    assert escaped("50% of $a_b$ & {c} #1 ~^\\") == (
        r"50\% of \$a\_b\$ \& \{c\} \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert escaped("[k=3] ± – †") == r"{[}k=3{]} $\pm$ \textendash{} $\dagger$"
    assert escaped("--by fold") == "-{}-by fold"
    assert escaped("folds 0-3, x=-0.5, -3.2") == "folds 0-3, x=$-$0.5, $-$3.2"
    assert escaped("ﬁ ✓") == "fi ?"


def test_what_is_marked_is_bold_in_every_form():
    """Fails if a form marks another cell than the table does."""
    records = grid(seeds=range(6)) + grid("omega", 0.2, 0.05, seeds=range(6))
    records += grid("zeta", seeds=range(6))
    (table,) = build_tables(records, judge=judge(records))
    marked = [
        cell
        for cells, marks in zip(table.cells(), table.marks(), strict=True)
        for cell, mark in zip(cells, marks, strict=True)
        if mark
    ]
    assert marked
    for cell in marked:
        figure, _, spread = cell.partition(" ± ")
        assert rf"\textbf{{{figure}}} $\pm$ {spread}" in latex(table)
        assert f"**{cell}**" in table.markdown()
        assert re.search(rf'class="number best"[^>]*>{re.escape(cell)}<', html([table]))


def test_html_escapes_names():
    """Fails if a name becomes an element, or is not shown as it is."""
    page = parsed(html(hostile()))
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE in page.text  # in the column of recipes


def test_html_shows_what_markdown_shows():
    """Fails if a form has other cells than the next."""
    for table in tables():
        cells = [text for text in parsed(html([table])).text if text.strip()]
        for row in table.cells():
            for cell in row:
                assert cell in cells or cell == ""


def test_a_class_called_script_is_harmless(monkeypatch: pytest.MonkeyPatch):
    """Fails if a class's name is put into a page or into LaTeX as it is."""
    classes = ("<script>alert(1)</script>", "bee & wasp", "$c_1$", "100%")
    monkeypatch.setattr(factory, "CLASSES", classes)
    known = factory.split()
    monkeypatch.setattr("results.tables.content.load_split", lambda _: known)
    (table,) = build_tables([record(fold=fold) for fold in (0, 1)], view=View(("classes",)))
    page = parsed(html([table]))
    assert "script" not in {tag for tag, _ in page.tags}
    assert classes[0] in page.text
    assert r"\textless{}script\textgreater{}alert(1)" in latex(table)

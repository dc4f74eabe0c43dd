"""LaTeX and HTML of the same tables: nothing in a name can break them, and what is best is marked."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from results.tables.html import html
from results.tables.kinds import KINDS
from results.tables.latex import escaped, latex
from results.tables.table import Table
from results.tables.tables import build_tables
from tests.results import factory
from tests.results.factory import SHAPES, record
from tests.results.tables.test_tables import CASES, grid

HOSTILE = '<script>alert(1)</script> & 100% $x_1^2$ #{\\input} ~"quoted" [a] ± – Δ †‡ ✓ é'
pytestmark = pytest.mark.usefixtures("toy")


def hostile() -> list[Table]:
    """Every kind of table with a name that means something to LaTeX and to HTML."""
    recipe = SHAPES.model_copy(update={"name": HOSTILE})
    return build_tables(grid(seeds=(0, 1, 2)) + grid("zeta", 0.5, 0.1, recipe=recipe), show=KINDS)


@cache
def tables() -> list[Table]:
    """The tables of every golden case, each fold and supplement included."""
    every = []
    for records, options in CASES.values():
        every += build_tables(records, **{**options, "show": KINDS})
    return every + build_tables(grid(), by="fold") + hostile()


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
    """Fails if a letter in a name adds or removes cells: each row has one `&` less than there are columns."""
    for table in tables():
        lines = latex(table).splitlines()
        start = max(i for i, line in enumerate(lines) if line == r"\midrule")
        end = lines.index(r"\bottomrule", start) if not table.long else lines.index(r"\end{longtable}")
        body = [line for line in lines[start + 1 : end] if line.endswith(r"\\")]
        assert len(body) == max(len(table.frame), 1)
        for line in body if len(table.frame) else []:
            assert len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1


def test_latex_escapes_every_letter_that_means_something():
    """Fails if a name can start a command, a formula, a comment or an argument."""
    assert escaped("50% of $a_b$ & {c} #1 ~^\\") == (
        r"50\% of \$a\_b\$ \& \{c\} \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert escaped("[k=3] ± – †") == r"{[}k=3{]} $\pm$ -- $\dagger$"
    assert escaped("ﬁ ✓") == "fi ?"


def test_the_best_is_bold_and_the_second_underlined():
    """Fails if another row is marked, or a partial run takes part. hIoU: alpha .248, zeta .359, omega .304."""
    records = grid() + grid("zeta", 0.5, 0.3) + grid("omega", 0.45, 0.25)
    (table,) = build_tables(records + grid("partial", 0.9, 0.9, partial=True))
    at = [column.header for column in table.columns].index("hIoU")
    marks = {row["name"]: marks[at] for row, marks in zip(table.rows(), table.marks(), strict=True)}
    assert marks == {"zeta": "best", "omega": "second", "alpha": "", "partial": ""}
    text = latex(table)
    assert r"\textbf{35.9}" in text
    assert r"\underline{30.4}" in text
    assert '<td class="number best" data-value="35.' in html([table])


def test_equal_prints_share_the_place():
    """Fails if of two values that read the same one is called better, or a column of one value has a best."""
    (table,) = build_tables(grid() + grid("zeta"))
    assert not any(any(row) for row in table.marks())
    (table,) = build_tables(grid() + grid("zeta") + grid("omega", 0.3, 0.1))
    at = [column.header for column in table.columns].index("hIoU")
    assert [row[at] for row in table.marks()] == ["best", "best", ""]


def test_html_escapes_names():
    """Fails if a name becomes an element, or is not shown as it is."""
    page = parsed(html(hostile()))
    assert "script" not in {tag for tag, _ in page.tags}
    assert f"zeta ({HOSTILE} recipe)" in page.text


def test_html_shows_what_markdown_shows():
    """Fails if a form has other cells than the next."""
    for table in tables():
        cells = [text for text in parsed(html([table])).text if text.strip()]
        for row in table.cells():
            for cell in row:
                assert cell in cells or cell == ""


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here")
def test_latex_compiles(tmp_path: Path):
    """Fails if a table, long or not, with hostile names or empty, is no LaTeX."""
    body = "\n".join(latex(table) for table in tables()[-14:])
    text = (
        "\\documentclass[a4paper,landscape]{article}\n\\usepackage{booktabs,longtable}\n\\extrafloats{100}\n"
        f"\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    (tmp_path / "tables.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_class_called_script_is_harmless(monkeypatch: pytest.MonkeyPatch):
    """Fails if a class's name is put into a page or into LaTeX as it is."""
    classes = ("<script>alert(1)</script>", "bee & wasp", "$c_1$", "100%")
    monkeypatch.setattr(factory, "CLASSES", classes)
    known = factory.split()
    monkeypatch.setattr("results.tables.content.load_split", lambda _: known)
    (table,) = build_tables([record(fold=fold) for fold in (0, 1)], show=("classes",))
    page = parsed(html([table]))
    assert "script" not in {tag for tag, _ in page.tags}
    assert classes[0] in page.text
    assert r"\textless{}script\textgreater{}alert(1)" in latex(table)

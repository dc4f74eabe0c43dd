"""Tables as LaTeX for papers: booktabs, what is marked bold, nothing wider than its page or smaller than 6 pt.

A narrow table is a `table`, which stands in one column of a page; a wider one is a `table*`, which spans both. What is
still too wide is scaled down, to `latex_fit.SMALLEST` at most; beyond that it is cut into panels of columns that repeat
the row names. Long tables are cut into several floats. Notes are as wide as the page's column; where they would fill
a float, and for tables of sentences, there is plain text instead, which breaks over pages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from results.tables.latex_fit import COLUMN, HEIGHT, PAGE, Cells, Fit, around, fit, pages
from results.tables.table import Mark, Table
from splits.plain_text import plain

PREAMBLE = r"""% in the preamble:
% \usepackage{array,booktabs,graphicx}
% \newcommand{\fitted}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}}
"""
NOTES = HEIGHT / 3  # higher ones are no part of a float
_BREAK = "\u200b"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \\textquotedbl needs another font encoding than LaTeX's own
    "–": r"\textendash{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "−": "$-$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "[": "{[}",  # after a line's end, LaTeX would take a bracket for an argument
    "]": "{]}",
    _BREAK: r"\allowbreak{}",
}


def latex(table: Table) -> str:
    """The table as floats, one unless it is long; ends with a newline."""
    if any(column.wide for column in table.columns):
        return PREAMBLE + _running(table.title, [_entry(row) for row in table.cells()])
    body = [list(zip(cells, marks, strict=True)) for cells, marks in zip(table.cells(), table.marks(), strict=True)]
    found = fit(table.columns, body)
    above, below = around(f"{table.title} (continued)", table.notes, COLUMN if found.one_column else PAGE)
    inside = below <= NOTES
    room = HEIGHT - above - (below if inside else 0.0)
    floats: list[str] = []
    for page in pages(found, table.cells(), room) if body else [[(panel, range(0)) for panel in found.panels[:1]]]:
        panels = [_panel(found, panel, [body[i] for i in rows]) for panel, rows in page]
        floats.append(_float(table, found, panels, table.notes if inside else (), first=not floats))
    if not inside:
        floats.append(_running(rf"Notes to Table~\ref{{tab:{table.label}}}", map(_sentence, table.notes), plain=False))
    return PREAMBLE + "\n".join(floats)


def _float(table: Table, fit: Fit, panels: Sequence[str], notes: Sequence[str], *, first: bool) -> str:
    kind = "table" if fit.one_column else "table*"
    title = table.title if first else f"{table.title} (continued)"
    label = rf"\label{{tab:{table.label}}}" if first else ""
    lines = [
        rf"\begin{{{kind}}}[tbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(title)}}}{label}",
        "\n\\par\\medskip\n".join(panels),
        *(_notes(notes) if first and notes else []),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _panel(fit: Fit, panel: Sequence[int], rows: Sequence[Cells]) -> str:
    """Some columns of some rows."""
    body = [" & ".join(_cell(*row[i], breaking=fit.breaking[i]) for i in panel) + r" \\" for row in rows]
    lines = [
        rf"\fitted{{\begin{{tabular}}{{{''.join(_alignment(fit, i) for i in panel)}}}",
        r"\toprule",
        " & ".join(_header(fit, i) for i in panel) + r" \\",
        r"\midrule",
        *(body or [rf"\multicolumn{{{len(panel)}}}{{l}}{{(nothing to show)}} \\"]),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    return "\n".join(lines)


def _notes(notes: Iterable[str]) -> list[str]:
    """As wide as the page's column, whatever is above them."""
    lines = [rf"{_sentence(note)}\par" for note in notes]
    return [r"\par\smallskip\begin{minipage}{\linewidth}\scriptsize\raggedright", *lines, r"\end{minipage}"]


def _running(title: str, paragraphs: Iterable[str], *, plain: bool = True) -> str:
    """Text outside of floats, which breaks over columns and pages. plain: the title is no LaTeX yet."""
    title = escaped(title) if plain else title
    lines = [rf"\par\noindent {paragraph}" for paragraph in paragraphs]
    return "\n".join([r"\par\medskip\begingroup\footnotesize\raggedright", rf"\noindent\textbf{{{title}}}", *lines]) + (
        "\n\\par\\endgroup\\medskip\n"
    )


def _entry(cells: Sequence[str]) -> str:
    """A row of a table of sentences: what it is about, and the sentences."""
    return rf"\textit{{{_sentence(cells[0])}:}} " + " ".join(_sentence(cell) for cell in cells[1:])


def _alignment(fit: Fit, i: int) -> str:
    if fit.breaking[i]:
        return rf">{{\raggedright\arraybackslash}}p{{{fit.widths[i]:.0f}pt}}"
    return "r" if fit.columns[i].numeric else "l"


def _header(fit: Fit, i: int) -> str:
    text = escaped(fit.columns[i].header)
    return rf"\rotatebox{{90}}{{{text}}}" if fit.columns[i].turned else text


def _sentence(text: str) -> str:
    """Text that may break where hashes, settings and lists of names have no spaces."""
    text = re.sub(r"[/=_](?=\S)|[,;:-](?=[^\s\d])|[^\W_]{10}(?=[^\W_]{10})", rf"\g<0>{_BREAK}", plain(text))
    return escaped(text)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands; letters beyond Latin-1 become the nearest plain ones, or a question mark."""
    text = re.sub(r"(?<![\w-])-(?=\d)", "−", plain(" ".join(text.split())))  # lines end after a hyphen
    letters = (_SPECIAL.get(letter) or _plain(letter) for letter in text)
    return re.sub("-(?=-)", "-{}", "".join(letters))  # two hyphens would be a dash


def _plain(letter: str) -> str:
    if ord(letter) < 256:
        return letter
    near = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return "".join(_SPECIAL.get(part, part) for part in near) or "?"


def _cell(text: str, mark: Mark, *, breaking: bool) -> str:
    if not mark:
        return _sentence(text) if breaking else escaped(text)
    figure, sign, spread = text.partition(" ± ")
    return rf"\textbf{{{escaped(figure)}}}" + (rf" $\pm$ {escaped(spread)}" if sign else "")

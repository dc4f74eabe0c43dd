"""Tables as LaTeX for papers: booktabs in a threeparttable, what is marked bold, nothing wider than its column.

A float is as wide as its place: `table` stands in one column; in two-column pages a table of many columns is a
`table*`. What would still be wider is scaled down. Long tables are cut into several floats, so that they may stand in
two-column pages too; headers of many methods are turned.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from results.tables.table import Column, Mark, Table
from splits.plain_text import plain

PREAMBLE = r"""% in the preamble:
% \usepackage{booktabs,graphicx,threeparttable}
% \newcommand{\fitted}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}}
"""
ACROSS = 7  # columns from which a table spans both columns of a page
ROWS = 50  # of one float
METHODS = 12  # turned columns of one float
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
}
Cells = Sequence[tuple[str, Mark]]


def latex(table: Table) -> str:
    """The table as floats, one unless it is long; ends with a newline."""
    body = [list(zip(cells, marks, strict=True)) for cells, marks in zip(table.cells(), table.marks(), strict=True)]
    floats: list[str] = []
    for columns in _column_parts(table.columns):
        for start in range(0, max(len(body), 1), ROWS):
            rows = [[row[i] for i in columns] for row in body[start : start + ROWS]]
            floats.append(_float(table, [table.columns[i] for i in columns], rows, first=not floats))
    return PREAMBLE + "\n".join(floats)


def _column_parts(columns: Sequence[Column]) -> Iterator[list[int]]:
    """The columns of each float: turned ones are dealt out, the others stand in all."""
    fixed = [i for i, column in enumerate(columns) if not column.turned]
    turned = [i for i, column in enumerate(columns) if column.turned]
    for start in range(0, max(len(turned), 1), METHODS):
        yield [*fixed, *turned[start : start + METHODS]]


def _float(table: Table, columns: Sequence[Column], rows: Sequence[Cells], *, first: bool) -> str:
    kind = "table*" if len(columns) >= ACROSS or any(column.wide for column in columns) else "table"
    title = table.title if first else f"{table.title} (continued)"
    label = rf"\label{{tab:{table.label}}}" if first else ""
    body = [" & ".join(_cell(*cell) for cell in row) + r" \\" for row in rows]
    body = body or [rf"\multicolumn{{{len(columns)}}}{{l}}{{(nothing to show)}} \\"]
    notes = [rf"\item {_sentence(note)}" for note in table.notes] if first else []
    lines = [
        rf"\begin{{{kind}}}[tbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(title)}}}{label}",
        r"\fitted{\begin{threeparttable}",
        rf"\begin{{tabular}}{{{''.join(_alignment(column) for column in columns)}}}",
        r"\toprule",
        " & ".join(_header(column) for column in columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\begin{tablenotes}[flushleft]\scriptsize", *notes, r"\end{tablenotes}"] if notes else []),
        r"\end{threeparttable}}",
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _alignment(column: Column) -> str:
    return r"p{0.7\linewidth}" if column.wide else "r" if column.numeric else "l"


def _header(column: Column) -> str:
    return rf"\rotatebox{{90}}{{{escaped(column.header)}}}" if column.turned else escaped(column.header)


def _sentence(text: str) -> str:
    """Text that may break at commas and slashes, as hashes and lists of names have few spaces."""
    return escaped(text).replace("/", r"/\allowbreak{}").replace("-", r"-\allowbreak{}")


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands; letters beyond Latin-1 become the nearest plain ones, or a question mark."""
    letters = (_SPECIAL.get(letter) or _plain(letter) for letter in plain(" ".join(text.split())))
    return re.sub("-(?=-)", "-{}", "".join(letters))  # two hyphens would be a dash


def _plain(letter: str) -> str:
    if ord(letter) < 256:
        return letter
    near = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return "".join(_SPECIAL.get(part, part) for part in near) or "?"


def _cell(text: str, mark: Mark) -> str:
    if not mark:
        return escaped(text)
    figure, sign, spread = text.partition(" ± ")
    return rf"\textbf{{{escaped(figure)}}}" + (rf" $\pm$ {escaped(spread)}" if sign else "")

"""Tables as LaTeX: booktabs, the best bold, the second underlined; longtable for what may run over pages."""

from __future__ import annotations

import re
import unicodedata

from results.tables.table import Mark, Table

PREAMBLE = "% in the preamble: \\usepackage{booktabs,longtable}"
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
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "−": "$-$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "[": "{[}",  # after a line's end, LaTeX would take a bracket for an argument
    "]": "{]}",
}


def latex(table: Table) -> str:
    """The table as a float, or as a longtable where it is long; ends with a newline."""
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    header = " & ".join(escaped(column.header) for column in table.columns) + r" \\"
    body = [
        " & ".join(_cell(cell, mark) for cell, mark in zip(cells, marks, strict=True)) + r" \\"
        for cells, marks in zip(table.cells(), table.marks(), strict=True)
    ] or [rf"\multicolumn{{{len(table.columns)}}}{{l}}{{(nothing to show)}} \\"]
    caption = rf"\caption{{{escaped(table.title)}}}\label{{tab:{_label(table)}}}"
    notes = [r"\begin{itemize}\footnotesize", *(rf"\item {escaped(note)}" for note in table.notes), r"\end{itemize}"]
    notes = notes if table.notes else []
    if table.long:
        return _long(alignment, caption, header, body, notes)
    return _lines(
        PREAMBLE,
        r"\begin{table}",
        r"\centering",
        caption,
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        header,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *notes,
        r"\end{table}",
    )


def _long(alignment: str, caption: str, header: str, body: list[str], notes: list[str]) -> str:
    """A longtable: its header is repeated on each page."""
    head = [r"\toprule", header, r"\midrule"]
    first = [rf"{caption}\\", *head, r"\endfirsthead"]
    foot = [*head, r"\endhead", r"\bottomrule", r"\endfoot"]
    begin = rf"\begin{{longtable}}{{{alignment}}}"
    return _lines(PREAMBLE, begin, *first, *foot, *body, r"\end{longtable}", *notes)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands; letters beyond Latin-1 become the nearest plain ones, or a question mark."""
    return "".join(_SPECIAL.get(letter) or _plain(letter) for letter in " ".join(text.split()))


def _plain(letter: str) -> str:
    if ord(letter) < 256:
        return letter
    near = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return "".join(_SPECIAL.get(part, part) for part in near) or "?"


def _cell(text: str, mark: Mark) -> str:
    if not mark:
        return escaped(text)
    figure, sign, spread = text.partition(" ± ")
    shown = rf"\textbf{{{escaped(figure)}}}" if mark == "best" else rf"\underline{{{escaped(figure)}}}"
    return shown + escaped(sign + spread).replace(r"$\pm$", r" $\pm$ ", 1).replace("  ", " ")


def _label(table: Table) -> str:
    family = table.protocol.family[:6] if table.protocol else ""
    return re.sub(r"[^a-z0-9]+", "-", f"{table.title.split(':')[0]} {table.name} {family}".lower()).strip("-")


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"

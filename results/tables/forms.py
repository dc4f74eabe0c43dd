"""The forms that tables can be printed in. Imports nothing heavy: a command line offers them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from results.tables.table import Table

Form = Literal["markdown", "latex", "csv", "html"]
FORMS: tuple[Form, ...] = get_args(Form)


def printed(tables: Sequence[Table], form: Form) -> str:
    """The tables in this form."""
    if form == "html":
        from results.tables.html import html

        return html(tables)
    if form == "latex":
        from results.tables.latex import latex

        return "\n".join(latex(table) for table in tables)
    return "\n".join(table.csv() if form == "csv" else table.markdown() for table in tables)


ENDINGS: dict[Form, str] = {"markdown": "md", "latex": "tex", "csv": "csv", "html": "html"}


def write_each(tables: Sequence[Table], form: Form, folder: Path) -> list[Path]:
    """Write each table to a file of its own, with a name that stays from call to call; returns the paths."""
    from results.store.files import write_atomically

    paths: list[Path] = []
    for table in tables:
        path = folder / f"{table.label}.{ENDINGS[form]}"
        while path in paths:
            path = path.with_stem(f"{path.stem}-again")
        write_atomically(path, printed([table], form).encode())
        paths.append(path)
    return paths

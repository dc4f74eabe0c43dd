"""The forms that tables can be printed in. Imports nothing heavy: a command line offers them."""

from __future__ import annotations

from collections.abc import Sequence
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

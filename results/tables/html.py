"""Tables as HTML. Every text that comes from a record is escaped, by jinja2 or as jinja2 does it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from results.tables.table import Column, Mark, Row, Table
from splits.plain_text import plain_lines

_FOLDER = files("results").joinpath("templates")


def source(name: str) -> str:
    """The text of a file in `templates/`."""
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """The templates, escaping everything."""
    names = [entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".j2")]
    loader = DictLoader({name: source(name) for name in names})
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=False)


def html(tables: Sequence[Table], title: str = "Tables") -> str:
    """A page of tables and nothing else."""
    template = environment().get_template("tables.html.j2")
    shown = [fragment(table, f"table-{i}") for i, table in enumerate(tables)]
    return template.render(title=title, tables=shown, style=Markup(source("style.css")))


def fragment(table: Table, name: str) -> dict[str, Any]:
    """What the template needs of a table; `name` is its id in the page."""
    return {
        "id": re.sub(r"[^a-zA-Z0-9-]", "-", name),
        "title": plain_lines(table.title),
        "columns": table.columns,
        "rows": (_line(table, row) for row in table.each_row()),  # as the page is written: there may be thousands
        "notes": [plain_lines(note) for note in table.notes],
    }


def _line(table: Table, row: Row) -> Markup:
    """A row of a table's body. Here and not in the template: most of the time of a long page went there."""
    cells = [_cell(column, row, table.mark(column, row)) for column in table.columns]
    head, *others = cells
    return Markup(f"<tr><th scope=row{head}</th>{''.join(f'<td{cell}</td>' for cell in others)}</tr>")


def _cell(column: Column, row: Row, mark: Mark) -> str:
    """Attributes and text of a cell, escaped."""
    value = column.value(row) if column.value is not None else math.nan
    classes = " ".join(name for name in ("number" if column.numeric else "text" * column.wide, mark) if name)
    of = f' class="{classes}"' if classes else ""
    of += "" if math.isnan(value) else f' data-value="{float(value)!r}"'
    return f"{of}>{escape(plain_lines(column.cell(row)))}"

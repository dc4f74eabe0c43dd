"""One stored record as a page, field by field: `python -m results.store.read_aloud` writes docs/record.md anew.

Each row is a field, its value in that record, and its description: the same that stands in the JSON Schema.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from results.store.folders import load_record

PROJECT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = PROJECT / "docs" / "record.md"
RUN: Final = "results/reference/shapes-5i/zegclip"  # whose first record is read
LONGEST: Final = 60  # letters of a value

HEAD: Final = """# One record, field by field

A scored run leaves `record.json` in `<runs>/<benchmark>/<method>/fold<k>-seed<s>-<key>/evals/<key>/`. Its fields are
described in a JSON Schema: `results/store/record.schema.json`. Check a record against it with
any validator. `python harness.py results verify` recomputes its numbers from the confusion matrix beside it.

This page is one record as this harness reads it:
`{path}`.
A table holds the fields of one object: the name, the value in that record, and what the field says. A path such as
`result.own.hiou` is how a program finds the value.
"""


def page(path: Path) -> str:
    """The page of the record in a file."""
    lines = [HEAD.format(path=path.relative_to(PROJECT).as_posix()), *_object(load_record(path), "record", 2)]
    return "\n".join(lines) + "\n"


def first_record() -> Path:
    """The record that the page is about."""
    return min((PROJECT / RUN).glob("*/evals/*/record.json"))


def _object(value: BaseModel, name: str, depth: int) -> Iterator[str]:
    """A heading, what the object is, its plain fields as a table, then the objects in it."""
    about = (inspect.getdoc(type(value)) or "").partition("\n\n")[0].replace("\n", " ")
    yield from (f"{'#' * min(depth, 4)} `{name}`", "", about, "")
    rows, inner = [], []
    for field, described in type(value).model_fields.items():
        content, words = getattr(value, field), " ".join((described.description or "").split())
        path = f"{name}.{field}" if name != "record" else field
        if isinstance(content, BaseModel):
            inner.append((content, path))
            rows.append(f"| `{field}` | an object, below | {_cell(words)} |")
        elif isinstance(content, tuple) and content and isinstance(content[0], BaseModel):
            inner.append((content[0], f"{path}[0]"))
            rows.append(f"| `{field}` | a list of {len(content)}; the first is below | {_cell(words)} |")
        else:
            rows.append(f"| `{field}` | {_cell(_value(content))} | {_cell(words)} |")
    yield from ("| field | here | what it says |", "| --- | --- | --- |", *rows, "")
    for content, path in inner:
        yield from _object(content, path, depth + 1)


def _value(value: Any) -> str:
    """A plain value as JSON has it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple) and len(text) > LONGEST:
        return f"`[{json.dumps(value[0], ensure_ascii=False)}, ...]`, {len(value)} of them"
    return f"`{text if len(text) <= LONGEST else text[: LONGEST - 4] + ' ...'}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(first_record()), encoding="utf-8")

"""The page that reads a record aloud is of the stored record, whole, and in words."""

from __future__ import annotations

import re

from results.store.read_aloud import PAGE, PROJECT, first_record, page
from results.store.record_schema import FILE


def test_the_page_is_of_the_stored_record() -> None:
    """Fails when fields, their words or the record have changed since: `python -m results.store.read_aloud`."""
    assert PAGE.read_text(encoding="utf-8") == page(first_record())


def test_every_field_is_said_in_words() -> None:
    """Fails when a field of the record has no description, or the page does not lead to the schema."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", text, flags=re.MULTILINE)
    assert len(rows) > 80
    assert [name for name, _, words in rows if not words] == []
    assert f"`{FILE.relative_to(PROJECT).as_posix()}`" in text

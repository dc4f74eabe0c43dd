"""The table of trials: docs/reliability.md shows what is stored, and what is stored is whole."""

from __future__ import annotations

from results.store.places import PROJECT
from tests.torture.__main__ import SCRIPTS, STORED, stored, table

PAGE = PROJECT / "docs" / "reliability.md"


def test_the_page_shows_the_stored_table() -> None:
    """Fails when the page's table of trials is not the one that the stored rows print, letter by letter."""
    shown = PAGE.read_text(encoding="utf-8").split("<!-- torture:begin -->\n\n")[1].split("\n\n<!-- torture:end -->")[0]
    assert shown == table(stored())


def test_every_script_is_stored_and_everything_was_survived() -> None:
    """Fails when trials were left out of the stored table, when one was lost, or nothing says where they ran."""
    found = stored()
    assert STORED.is_file()
    assert list(found) == list(SCRIPTS)
    for name, script in found.items():
        assert script["machine"]["system"], name
        assert script["rows"], name
        for row in script["rows"]:
            assert row["survived"] == row["trials"] > 0, row["what"]
            assert row["failures"] == []
            assert len(row["commit"]) == 40

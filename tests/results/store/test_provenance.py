"""What a record says of the code that made it."""

from pathlib import Path

import pytest

from methods.registry import METHODS
from results.store import provenance
from results.store.places import PROJECT

SOURCE = '''"""Module."""
import math  # why


class A:
    """Class."""

    text = "# no comment"

    def f(self):
        """Function

        over lines.
        """
        return """a string,
        # not a comment"""
'''


def test_comments_and_docstrings_change_nothing() -> None:
    """Fails when explaining a method better makes its runs stale."""
    plain = provenance.bare_code(SOURCE)
    explained = (
        SOURCE.replace("# why", "# because").replace("Class.", "A class.").replace("over lines.", "over\n\n more.")
    )
    assert provenance.bare_code(explained) == plain
    assert "no comment" in plain
    assert "not a comment" in plain
    assert "Class." not in plain


@pytest.mark.parametrize(("old", "new"), [("# no comment", "# none"), ("return", "yield"), ("a string", "b string")])
def test_code_changes_count(old: str, new: str) -> None:
    """Fails when a change of code, strings that look like comments included, goes unseen."""
    assert provenance.bare_code(SOURCE.replace(old, new)) != provenance.bare_code(SOURCE)


def test_the_fast_way_to_comments_is_the_tokenizers() -> None:
    """Fails when a file without number signs in strings is bared otherwise than by Python's own tokenizer."""
    for path in sorted(PROJECT.glob("methods/**/*.py")):
        source = path.read_text(encoding="utf-8")
        marked = source + '\nMARK = "#"\n'  # a string with the sign: the slow way
        assert provenance.bare_code(marked) == (provenance.bare_code(source) + '\nMARK = "#"').lstrip(), path


def test_sources_of_a_method_follow_its_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a change in a file that a method imports leaves its digest alone, or a stranger's changes it."""
    before = {name: provenance.sources_sha256.__wrapped__(name) for name in METHODS}
    losses = provenance._source_of("methods.losses")
    assert losses is not None
    changed = tmp_path / "losses.py"
    changed.write_text(losses.read_text() + "\nEXTRA = 1\n")
    real = provenance._source_of
    monkeypatch.setattr(
        provenance, "_source_of", lambda m, places: changed if m == "methods.losses" else real(m, places)
    )
    after = {name: provenance.sources_sha256.__wrapped__(name) for name in METHODS}
    assert after["zegclip"] != before["zegclip"]
    assert after["constant"] == before["constant"]

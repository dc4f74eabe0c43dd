"""Text files of any editor, and names in any Unicode form."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splits.text import decoded, lines, one_form

WORDS = st.lists(
    st.text(st.characters(categories=("L", "N", "Zs"), exclude_characters="\u2028"), min_size=1), max_size=5
)


@given(
    WORDS,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.booleans(),
)
def test_any_editors_file_has_the_same_lines(words, end, encoding, ended):
    """Fails when a byte order mark, an encoding or a line ending changes a line, adds one or loses one."""
    text = end.join(words) + (end if ended and words else "")
    assert lines(decoded(text.encode(encoding))) == words


@pytest.mark.parametrize("content", ["img0\n".encode("utf-16-le"), "kühe\n".encode("latin-1"), b"\xef\xbb\xbf\xff"])
def test_what_is_no_text_says_how_to_save_it(content):
    """Fails when another encoding is read as something else, or the error does not name what is expected."""
    with pytest.raises(ValueError, match="save it as UTF-8"):
        decoded(content)


@given(st.text(max_size=12), st.sampled_from(["NFC", "NFD"]))
def test_either_form_of_a_name_is_one(name, form):
    """Fails when a name as macOS writes it is another name."""
    assert one_form(unicodedata.normalize(form, name)) == one_form(name)

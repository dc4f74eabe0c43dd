"""Names do nothing to a terminal or a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splits.plain_text import csv_cell, plain, plain_lines


@given(st.text())
def test_no_code_is_left(text: str) -> None:
    """Fails if a control code, an escape or a mark that turns the writing gets through."""
    for code in plain(text):
        assert ord(code) >= 32
        assert not 0x7F <= ord(code) < 0xA0
        assert code not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029"
    assert plain(plain(text)) == plain(text)
    assert set(plain_lines(text)) - set(plain(text)) <= {"\n", "\t", "\r"}


@given(st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_other_text_stays(text: str) -> None:
    """Fails if a letter of any language is changed."""
    assert plain(text) == plain_lines(text) == text


@given(st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    """Fails if a spreadsheet would take a text for a formula, or a number for a text."""
    cell = csv_cell(text)
    try:
        float(text)
        assert cell == plain_lines(text) or not text.isascii()
    except ValueError:
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("value", [-0.5, 3, None, True, "-0.5", "+1e-3", "-inf", "zegclip", "a=b", "–"])
def test_numbers_stay_numbers(value: object) -> None:
    """Fails if a number, or a name that is harmless, is changed."""
    assert csv_cell(value) == value


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "  =1", "\t=1", "-0.05 / 0.1"])
def test_formulas_become_text(value: str) -> None:
    """Fails if one of the known ways into a spreadsheet is open."""
    file = io.StringIO()
    csv.writer(file).writerow([csv_cell(value)])
    (row,) = csv.reader(io.StringIO(file.getvalue()))
    assert row[0].startswith("'")

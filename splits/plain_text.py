"""Names as text that does nothing: not to a terminal, not to a spreadsheet.

Names of methods, classes, runs and folders come from others. Control and escape codes, and marks that turn the
direction of writing, are spelled out (`\\x1b`). A cell of a CSV that a spreadsheet would take for a formula gets an
apostrophe before it (OWASP, "CSV Injection"); numbers stay numbers.
"""

from __future__ import annotations

import re
from typing import Any

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CODES = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]")
_CODES_OF_LINES = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def plain(text: str) -> str:
    """One line without any code.

    >>> plain("zeg\\x1b[2Jclip")
    'zeg\\\\x1b[2Jclip'
    """
    return _CODES.sub(_spelled, text)


def plain_lines(text: str) -> str:
    """As `plain`; the ends of lines, tabs and the returns of a progress bar stay."""
    return _CODES_OF_LINES.sub(_spelled, text)


def csv_cell(value: Any) -> Any:
    """A value as it may stand in a CSV; what is no text stays as it is.

    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell(-0.5)
    ("'=1+1", '-0.5', -0.5)
    """
    if not isinstance(value, str):
        return value
    risky = value.lstrip(" ").startswith(_FORMULA) and not _is_number(value)
    text = plain_lines(value)
    return f"'{text}" if risky else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().isascii()


def _spelled(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()

"""Text files as people's editors write them: UTF-8 or UTF-16, with a byte order mark or without, any line ending."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Any, Final

MARKS: Final = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(content: bytes) -> str:
    """The text of a file, without its byte order mark. Raises ValueError that says which encoding was expected."""
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is no {encoding.upper()}; save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("it holds zero bytes, as UTF-16 without a byte order mark does; save it as UTF-8")
    return text


def lines(text: str) -> list[str]:
    """Its lines, however they end (a line feed, a carriage return, both), without the last empty one.

    >>> lines("a\\r\\nb 1\\rc\\n")
    ['a', 'b 1', 'c']
    """
    found = re.split(r"\r\n|\r|\n", text)
    return found if found[-1] else found[:-1]


def one_form(name: str) -> str:
    """A name in one Unicode form (NFC): macOS writes "ü" as two characters, others as one.

    >>> one_form("u\\u0308") == "\\u00fc"
    True
    """
    return unicodedata.normalize("NFC", name)


def in_one_form(value: Any) -> Any:
    """Every text and key of a plain value in one Unicode form. Raises ValueError where two keys become one."""
    if isinstance(value, list):
        return [in_one_form(item) for item in value]
    if not isinstance(value, dict):
        return one_form(value) if isinstance(value, str) else value
    found: dict[str, Any] = {}
    for key, item in value.items():
        if (name := one_form(key)) in found:
            raise ValueError(f"{name!r} stands there twice, in two Unicode forms; leave one")
        found[name] = in_one_form(item)
    return found

"""What commands print, without control and escape codes: names in it come from others."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from splits.plain_text import plain_lines


class PlainStream:
    """A text stream that spells out what would steer a terminal. `bare` is the stream itself, for what draws lines."""

    def __init__(self, bare: TextIO):
        self.bare = bare

    def write(self, text: str) -> int:
        """Write the text; returns how many letters of it were taken."""
        raw, plain = getattr(self.bare, "buffer", None), plain_lines(text)
        if not isinstance(raw, io.RawIOBase):
            self.bare.write(plain)
            return len(text)
        rest = memoryview(plain.encode(self.bare.encoding, self.bare.errors or "strict"))
        while rest:  # unbuffered (PYTHONUNBUFFERED), Python drops what a disk that is nearly full did not take at once
            rest = rest[raw.write(rest) or 0 :]
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Both streams are plain meanwhile."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PlainStream(stream) for stream in streams)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams

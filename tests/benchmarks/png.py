"""PNGs written by hand, so that what is stored in them is known bit by bit."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

GREY, PALETTE = 0, 3  # colour types of PNG


def png(path: Path, ids: np.ndarray, bits: int, colours: np.ndarray | None = None) -> Path:
    """A PNG written by hand from the standard (ISO/IEC 15948, 11.2): grey, or of a palette `(N, 3)`."""
    height, width = ids.shape
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in ids]
    else:
        planes = np.unpackbits(ids.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :].reshape(height, -1)
        rows = [np.packbits(row).tobytes() for row in planes]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, GREY if colours is None else PALETTE, 0, 0, 0)
    body = chunk(b"IHDR", header)
    if colours is not None:
        body += chunk(b"PLTE", colours.astype(np.uint8).tobytes())
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path

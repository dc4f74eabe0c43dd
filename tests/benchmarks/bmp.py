"""BMPs written by hand from the layout of Windows' BITMAPINFOHEADER, so that what is stored is known bit by bit."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

CORE, INFO = 12, 40  # bytes of OS/2's and of Windows' header


def bmp(
    path: Path,
    samples: np.ndarray,
    bits: int,
    colours: np.ndarray | None = None,
    *,
    top_down: bool = False,
    header: int = INFO,
    fields: tuple[int, ...] = (),
) -> Path:
    """A BMP of `(H, W)` indices or packed colours of so many bits; colours: a palette `(N, 3)` RGB."""
    height, width = samples.shape
    if bits < 8:
        planes = np.unpackbits(samples.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :].reshape(height, -1)
        rows = [np.packbits(row).tobytes() for row in planes]
    else:
        rows = [b"".join(int(value).to_bytes(bits // 8, "little") for value in row) for row in samples]
    rows = [row + b"\0" * (-len(row) % 4) for row in (rows if top_down else rows[::-1])]
    return written(path, (width, -height if top_down else height), bits, b"".join(rows), colours, header, fields)


def written(
    path: Path,
    size: tuple[int, int],
    bits: int,
    data: bytes,
    colours: np.ndarray | None = None,
    header: int = INFO,
    fields: tuple[int, ...] = (),
    compression: int = 0,
) -> Path:
    """A BMP around pixels that are packed already."""
    entries = np.zeros((0, 3), np.uint8) if colours is None else colours.astype(np.uint8)
    table = b"".join(bytes(entry[::-1]) + b"\0" * (header != CORE) for entry in entries)
    table += struct.pack(f"<{len(fields)}I", *fields)
    if header == CORE:
        head = struct.pack("<IHHHH", CORE, *size, 1, bits)
    else:
        head = struct.pack(
            "<IiiHHIIiiII", INFO, *size, 1, bits, 3 if fields else compression, len(data), 0, 0, len(entries), 0
        )
    start = 14 + len(head) + len(table)
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + table + data)
    return path

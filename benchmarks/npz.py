"""What reading an npz that is none, was cut or was changed may raise: for readers that refuse it in one line."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection
from typing import Final

from benchmarks.data.memory import memory_left

SMALL: Final = 64 * 2**20  # bytes that nobody asks the system about

SPOILT: Final = (
    OSError,
    ValueError,  # no array, or one of pickled objects
    KeyError,  # a name that is not there
    IndexError,
    EOFError,
    RuntimeError,  # encrypted, or packed in a way that Python does not know
    MemoryError,  # a header that claims a size beyond all bounds
    zipfile.BadZipFile,
    tokenize.TokenError,  # a header of an array that is cut: NumPy reads it as Python
    zlib.error,
)


def refuse_bomb(packed: zipfile.ZipFile, members: Collection[str]) -> None:
    """Raise ValueError, one of `SPOILT`, where members of an npz take more than the memory that is left.

    A kilobyte of it can stand for a gigabyte of zeros, and a system without memory kills the process without a word.
    """
    size = sum(packed.getinfo(member).file_size for member in members)
    if size > SMALL and (left := memory_left()) is not None and size > left:
        raise ValueError(f"its arrays take {size / 2**30:.1f} GiB, of {left / 2**30:.1f} that are left")

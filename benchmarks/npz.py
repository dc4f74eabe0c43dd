"""What reading an npz that is none, was cut or was changed may raise: for readers that refuse it in one line."""

from __future__ import annotations

import zipfile
import zlib
from typing import Final

SPOILT: Final = (
    OSError,
    ValueError,  # no array, or one of pickled objects
    KeyError,  # a name that is not there
    IndexError,
    EOFError,
    RuntimeError,  # encrypted, or packed in a way that Python does not know
    MemoryError,  # a header that claims a size beyond all bounds
    zipfile.BadZipFile,
    zlib.error,
)

"""One thread for each product of matrices meanwhile: for code that is shared among threads itself.

OpenBLAS would share each product among all cores, and its threads wait for one another by spinning: two callers at once
take many times the time of one. NumPy has no word for it, so the library is asked. What is no OpenBLAS, or is not found
in this process (Linux only), is left alone, and the caller is told.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_WORDS = tuple(
    tuple(f"{before}openblas_{word}_num_threads{behind}" for word in ("get", "set"))
    for before in ("scipy_", "")  # as wheels have it, and as systems do
    for behind in ("64_", "")
)


@contextmanager
def one_blas_thread() -> Iterator[bool]:
    """Is it so, within? What was set before is set again afterwards."""
    known = [(get(), put) for get, put in _libraries()]
    for _, put in known:
        put(1)
    try:
        yield bool(known)
    finally:
        for before, put in known:
            put(before)


@cache
def _libraries() -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:
    """How each OpenBLAS of this process is asked for its number of threads, and told one."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    found = []
    for path in sorted({line.split(maxsplit=5)[5] for line in lines if "openblas" in line and line.count("/")}):
        library = ctypes.CDLL(path)
        for get, put in _WORDS:
            if hasattr(library, put):
                found.append((getattr(library, get), getattr(library, put)))
    return tuple(found)

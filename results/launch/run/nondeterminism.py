"""Which operations of a run are not deterministic on this device, as torch itself names them.

With `torch.use_deterministic_algorithms(True, warn_only=True)` torch warns of each such operation. Of the kernels of
attention it warns once in a process, unless it is told to warn always.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_NAMED = re.compile(r"(?P<name>\S+) does not have a deterministic implementation")
_ATTENTION = re.compile(r"(?P<name>\w[\w ]*?) defaults to a non-deterministic algorithm")
_CUBLAS = re.compile(r"because it uses CuBLAS")
CUBLAS = "cuBLAS without CUBLAS_WORKSPACE_CONFIG"
_MESSAGES = r"(?s).*(deterministic implementation|to a non-deterministic algorithm|because it uses CuBLAS)"


def name_in(message: str) -> str | None:
    """The operation that a warning names; None for a warning of anything else."""
    if found := _NAMED.search(message) or _ATTENTION.search(message):
        return found["name"]
    return CUBLAS if _CUBLAS.search(message) else None


@contextmanager
def named() -> Iterator[set[str]]:
    """The operations torch warns of within; their warnings go into the record and not onto the screen."""
    names: set[str] = set()
    always = torch.is_warn_always_enabled()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=_MESSAGES)
        show = warnings.showwarning

        def collect(message, category, filename, lineno, file=None, line=None) -> None:
            name = name_in(str(message))
            if name is None:
                show(message, category, filename, lineno, file, line)
            else:
                names.add(name)

        warnings.showwarning = collect
        torch.set_warn_always(True)  # a later run of this process has its own record
        try:
            yield names
        finally:
            torch.set_warn_always(always)

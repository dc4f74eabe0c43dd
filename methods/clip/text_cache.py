"""Text prototypes on disk: one small safetensors file per (weights, texts, templates)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor


def prototypes_file(folder: Path, model: list[str], texts: list[str], templates: tuple[str, ...]) -> Path:
    """The file of these texts under this model (weights and architecture); order matters, since the rows have it."""
    key = json.dumps([model, list(texts), list(templates)], ensure_ascii=True)
    return folder / f"text-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"


def read_prototypes(path: Path, *, shape: tuple[int, int]) -> Tensor | None:
    """The stored rows, or None where there are none that can be trusted: absent, of another shape, of another key, or
    not as they were written (they carry a digest); or where every user of the machine may write them.
    """
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            return None
        stored = load(path.read_bytes())
        rows, digest = stored["prototypes"], stored["sha256"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    if rows.shape != shape or rows.dtype != torch.float32:
        return None
    return rows if torch.equal(digest, _digest(path.name, rows)) else None


def _digest(name: str, rows: Tensor) -> Tensor:
    """`(32,)` bytes: sha256 of the rows in their order and of the file's name, which is their key."""
    content = name.encode() + rows.contiguous().numpy().tobytes()
    return torch.tensor(list(hashlib.sha256(content).digest()), dtype=torch.uint8)


def write_prototypes(path: Path, rows: Tensor) -> None:
    """Store the rows whole or not at all. A folder that cannot be written to costs only the time saved."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(save({"prototypes": rows.contiguous(), "sha256": _digest(path.name, rows)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

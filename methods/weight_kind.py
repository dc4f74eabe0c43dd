"""What a file is by its bytes, where it is no file of weights. No torch: commands ask it before any work begins."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

HEAD: Final = 512
POINTER: Final = b"version https://git-lfs"


def refuse_what_is_none(path: Path) -> None:
    """Raises ValueError where a file is by its first bytes, or its last, none of weights; with what to do."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if reason := _no_weights(path, head, size):
        raise ValueError(f"{path} {reason}")


def _no_weights(path: Path, head: bytes, size: int) -> str:
    text = head.lstrip().lower()
    if not head:
        return "is empty; copy or download it again"
    if head.startswith(POINTER):
        return "is a Git-LFS pointer and not the file itself; fetch that with `git lfs pull`"
    if text.startswith((b"<!doctype html", b"<html")):
        return (
            "is an HTML page and not the file of weights; download the file itself (a log-in or a click is before it)"
        )
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it and give the file of weights in it"
    if head.startswith(b"\x1f\x8b"):
        return "is compressed by gzip; unpack it first"
    if head.startswith(b"PK"):
        return _no_archive(path, size)
    if (header := header_of(path)) is not None:
        length = _length(header)
        return "" if size >= length else f"is cut off: {size} of {length} bytes are there; copy or download it again"
    if head.isascii() and re.fullmatch(rb"[\s\x20-\x7e]+", head):
        return f"is a text that begins with {head[:40].decode()!r} and not a file of weights"
    return ""


def _no_archive(path: Path, size: int) -> str:
    """Why a file that begins as a zip is none that torch wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return f"is cut off after {size} bytes: the end of the archive is missing; copy or download it again"
    if not any(name.endswith("data.pkl") for name in names):
        return f"is a zip of {', '.join(names[:3])}; unpack it and give the file of weights in it"
    return ""


def is_torchscript(path: Path) -> bool:
    """Is a file an archive of code that torch compiled, as OpenAI's CLIPs are?"""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name or name.endswith("constants.pkl") for name in archive.namelist())


def header_of(path: Path) -> tuple[int, Mapping[str, Any]] | None:
    """Where the tensors of a safetensors file begin, and its description of them; None for what is none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= 100_000_000 or file.read(1) != b"{":
            return None
        text = b"{" + file.read(length - 1)
    try:
        header = json.loads(text)
    except ValueError:  # cut off within the header, or chance
        return (8 + length, {}) if len(text) < length else None
    return (8 + length, header) if isinstance(header, dict) else None


def _length(header: tuple[int, Mapping[str, Any]]) -> int:
    begin, tensors = header
    try:
        ends = [int(value["data_offsets"][1]) for name, value in tensors.items() if name != "__metadata__"]
    except (KeyError, TypeError, ValueError, IndexError):  # what reads the tensors says so
        return 0
    return begin + max(ends, default=0)

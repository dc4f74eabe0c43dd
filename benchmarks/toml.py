"""TOML files that a person writes: read, or refused in one line. Imports no torch."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from splits.errors import UserError, file_words
from splits.text import decoded, lines


def is_toml(text: str) -> bool:
    """Is this the name of a TOML file, in any case of its ending?"""
    return text.lower().endswith(".toml")


def read_toml(path: Path, option: str = "") -> dict[str, Any]:
    """The content of a TOML file; raises UserError, one line, which names the option it was given with."""
    where = f"{option} {path}".strip()
    try:
        return tomllib.loads("\n".join(lines(decoded(path.read_bytes()))))
    except OSError as error:
        raise UserError(f"{where}: {file_words(error)}") from None
    except (ValueError, RecursionError) as error:  # what cannot be decoded or parsed is a ValueError
        raise UserError(f"{where}: cannot be read as TOML ({' '.join(str(error).split())})") from None

"""Where results lie by default: in a checkout below its `results`, else (installed) below `results` of the current
folder, never beside an installed package. The variable ZSS_RUNS names another folder of runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]  # what holds the packages: a checkout, or site-packages
VARIABLE: Final = "ZSS_RUNS"


def results_folder(project: Path = PROJECT) -> Path:
    """The folder for reports, figures and runs."""
    return (project if (project / "pyproject.toml").is_file() else Path.cwd()) / "results"


def shipped_records(project: Path = PROJECT) -> Path | None:
    """The records that come with a checkout; None in an installed copy."""
    folder = project / "results" / "reference"
    return folder if folder.is_dir() else None


def runs_folder(environment: Mapping[str, str] = os.environ, project: Path = PROJECT) -> Path:
    """The folder of runs where none is named."""
    given = environment.get(VARIABLE)
    return Path(given).expanduser() if given else results_folder(project) / "runs"


def distinct(folders: Iterable[Path]) -> tuple[Path, ...]:
    """The folders as they were named, each once: links and other names of one folder are that folder."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return tuple(found.values())

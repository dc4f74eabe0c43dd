"""Packages that are not there, said in one line. Only the standard library is used: any Python can import this.

The base install plans runs and looks at stored records; `[train]` adds what trains and scores (pyproject.toml).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

OLDEST: Final = (3, 11)
NAME: Final = "zero-shot-segmentation-harness"
BASE: Final = {  # import name -> distribution
    "filelock": "filelock",
    "ftfy": "ftfy",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "PIL": "pillow",
    "pydantic": "pydantic",
    "regex": "regex",
    "rich": "rich",
    "scipy": "scipy",
    "submitit": "submitit",
    "tabulate": "tabulate",
    "threadpoolctl": "threadpoolctl",
}
TRAIN: Final = {
    "cv2": "opencv-python",
    "lightning_fabric": "lightning-fabric",
    "mmcv": "onedl-mmcv",
    "mmengine": "onedl-mmengine",
    "mmseg": "onedl-mmsegmentation",
    "open_clip": "open_clip_torch",
    "pycocotools": "pycocotools",
    "safetensors": "safetensors",
    "torch": "torch",
    "torchvision": "torchvision",
}
PROJECT: Final = Path(__file__).resolve().parent.parent


def too_old(version: tuple[int, ...] = sys.version_info[:2]) -> str | None:
    """What to say of a Python that is older than the harness needs; None where it is not."""
    if version >= OLDEST:
        return None
    return f"{sys.executable} is Python {version[0]}.{version[1]}; the harness needs 3.11 or later. {_enter()}"


def what_is_missing(error: ImportError, doing: str) -> str | None:
    """What to install, in one line; None where the error is of no package of the two lists.

    doing: the command, as `run`.
    """
    name = (error.name or "").partition(".")[0]
    if name in TRAIN:
        return (
            f"`{doing}` needs {TRAIN[name]}, which the base install leaves out: pip install '{_installed_as()}[train]'"
        )
    if name in BASE:
        return f"{sys.executable} has no {BASE[name]}, so the harness is not installed there. {_enter()}"
    return None


def _installed_as() -> str:
    return "." if (PROJECT / "pyproject.toml").is_file() else NAME


def _enter() -> str:
    return "`make install` installs it into .venv, `source .venv/bin/activate` enters it"

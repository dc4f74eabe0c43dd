"""What a file of CLIP weights does not say itself: activation, mean, std and image size that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.clip.known_files import known
from methods.clip_file import disagreements, read_config
from methods.weight_fit import listed

Settled = tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]
OPENAI = "OpenAI's mean and std"


def of_a_file(model: str, settings: Mapping[str, Any], path: Path, sha256: str, beside: Path | None) -> Settled:
    """The model config of a file's CLIP, its preprocessing, and what to know of them.

    settings: the config of the model that was named. Published weights are known by their sha256; else the config
    beside the file says it; else what is assumed is among the remarks. Raises ValueError where the config beside the
    file describes another network than `model`.
    """
    if published := known(sha256):
        return {**settings, "quick_gelu": bool(published.config.get("quick_gelu", False))}, published.config, ()
    if beside is not None:
        return _as_beside(model, settings, path, beside)
    activation = _activation(settings)
    return (
        dict(settings),
        {},
        (
            f"CLIP {model} is a file that does not say how it was trained: {activation} and {OPENAI} are assumed "
            "(its sha256 is none that open_clip names, no open_clip_config.json came with it)",
        ),
    )


def _as_beside(model: str, settings: Mapping[str, Any], path: Path, beside: Path) -> Settled:
    theirs, preprocess = read_config(beside)
    if wrong := disagreements(settings, theirs):
        raise ValueError(
            f"{beside} describes another network than {model}: {listed(wrong)}; name the model that it describes, or "
            f"give {path.name} a folder of its own"
        )
    remarks = []
    if _activation(settings) != _activation(theirs):
        remarks.append(f"CLIP {model} has {_activation(theirs)}, as the config beside its file says")
    if not {"mean", "std"} <= preprocess.keys():
        remarks.append(f"CLIP {model}: {OPENAI} are assumed, as the config beside its file names none")
    return theirs, preprocess, tuple(remarks)


def _activation(settings: Mapping[str, Any]) -> str:
    return "QuickGELU" if settings.get("quick_gelu") else "GELU"

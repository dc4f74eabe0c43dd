"""CLIPs by model and tag, before any is built: is there such a one, and are its weights on this disk?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]

from methods.clip.loading import _in_hub_cache, _weights_path
from splits.near import suggestion


def weights_of_tag(model: str, tag: str) -> Path:
    """The file of a tag's weights, fetched where it is not on this disk yet; nothing is loaded.

    Raises ValueError for a model or a tag that open_clip has not, ConnectionError where the file cannot be had.
    """
    return _weights_path(model, tag, _entry(model, tag))


def is_here(model: str, tag: str) -> bool:
    """Are the weights of a tag on this disk? Nothing is fetched or loaded.

    Raises ValueError for a model or a tag that open_clip has not.
    """
    entry = _entry(model, tag)
    if _in_hub_cache(entry.get("hf_hub", "")) is not None:
        return True
    kept = Path("~/.cache/clip").expanduser()  # where open_clip puts the files of plain addresses
    return bool(entry.get("url")) and (kept / Path(entry["url"]).name).is_file()


def _entry(model: str, tag: str) -> dict[str, Any]:
    """open_clip's settings of a tag."""
    models = open_clip.list_models()
    if tag in models and model not in models:
        raise ValueError(f"the model stands before its tag: did you mean {tag}/{model}?")
    if model not in models:
        meant = suggestion(model, models, listed_by="open_clip.list_models() has all")
        raise ValueError(f"open_clip has no model {model!r}; {meant}")
    tags = open_clip.list_pretrained_tags_by_model(model)
    settings = open_clip.pretrained.get_pretrained_cfg(model, tag)
    if not settings:
        raise ValueError(f"{model} has no weights tagged {tag!r}, nor is that a file; {suggestion(tag, tags)}")
    return settings

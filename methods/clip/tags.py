"""CLIPs by model and tag, before any is built: is there such a one, and are its weights on this disk?"""

from __future__ import annotations

from pathlib import Path

import open_clip  # type: ignore[import-untyped]

from methods.clip.loading import _config_of, _in_hub_cache, _weights_path


def weights_of_tag(model: str, tag: str) -> Path:
    """The file of a tag's weights, fetched where it is not on this disk yet; nothing is loaded.

    Raises ValueError for a model or a tag that open_clip has not, ConnectionError where the file cannot be had.
    """
    _config_of(model, None)
    return _weights_path(model, tag, open_clip.pretrained.get_pretrained_cfg(model, tag))


def is_here(model: str, tag: str) -> bool:
    """Are the weights of a tag on this disk? Nothing is fetched or loaded.

    Raises ValueError for a model or a tag that open_clip has not.
    """
    _config_of(model, None)
    entry = open_clip.pretrained.get_pretrained_cfg(model, tag)
    if not entry:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise ValueError(f"{model} has no weights tagged {tag!r}; tags: {known}")
    if _in_hub_cache(entry.get("hf_hub", "")) is not None:
        return True
    kept = Path("~/.cache/clip").expanduser()  # where open_clip puts the files of plain addresses
    return bool(entry.get("url")) and (kept / Path(entry["url"]).name).is_file()

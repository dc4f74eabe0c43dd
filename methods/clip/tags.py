"""CLIPs by model and tag, before any is built: is there such a one, and are its weights on this disk?"""

from __future__ import annotations

from pathlib import Path

import open_clip  # type: ignore[import-untyped]

from methods.clip.loading import _weights_path
from splits.near import suggestion


def weights_of_tag(model: str, tag: str) -> Path:
    """The file of a tag's weights, fetched where it is not on this disk yet; nothing is loaded.

    Raises ValueError for a model or a tag that open_clip has not, ConnectionError where the file cannot be had.
    """
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
    return _weights_path(model, tag, settings)

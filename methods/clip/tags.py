"""CLIPs by model and tag, before any is built: is there such a one, and are its weights on this disk?"""

from __future__ import annotations

from pathlib import Path

import open_clip  # type: ignore[import-untyped]

from methods.clip.loading import _config_of, _weights_path


def weights_of_tag(model: str, tag: str) -> Path:
    """The file of a tag's weights, fetched where it is not on this disk yet; nothing is loaded.

    Raises ValueError for a model or a tag that open_clip has not, ConnectionError where the file cannot be had.
    """
    _config_of(model, None)
    return _weights_path(model, tag, open_clip.pretrained.get_pretrained_cfg(model, tag))

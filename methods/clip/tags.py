"""CLIPs by model and tag, before any is built: is there such a one, and are its weights on this disk?"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import open_clip  # type: ignore[import-untyped]
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT as HF_ENDPOINT
from huggingface_hub.constants import HF_HUB_CACHE

from methods.clip_file import WEIGHTS
from methods.downloads import first_line, reach
from splits.near import suggestion


def weights_of_tag(model: str, tag: str) -> Path:
    """The file of a tag's weights, fetched where it is not on this disk yet; nothing is loaded.

    Raises ValueError for a model or a tag that open_clip has not, ConnectionError where the file cannot be had.
    """
    return fetched(model, tag, _entry(model, tag))


def is_here(model: str, tag: str) -> bool:
    """Are the weights of a tag on this disk? Nothing is fetched or loaded.

    Raises ValueError for a model or a tag that open_clip has not.
    """
    entry = _entry(model, tag)
    if entry.get("hf_hub"):  # then nothing is loaded from elsewhere
        return in_hub_cache(entry["hf_hub"]) is not None
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


def fetched(model: str, tag: str, entry: dict[str, Any]) -> Path:
    """The weights of a tag, by open_clip's settings of it: from the hub's cache as they lie there, or fetched."""
    cached = in_hub_cache(entry.get("hf_hub", ""))
    if cached is not None:
        return cached
    try:
        reach(HF_ENDPOINT if entry.get("hf_hub") else entry["url"])
        return Path(open_clip.download_pretrained(entry))
    except (OSError, RuntimeError, ValueError) as error:  # every client error of the hub is one of these
        source = f"{HF_ENDPOINT}/{entry['hf_hub'].rstrip('/')}" if entry.get("hf_hub") else entry.get("url")
        raise ConnectionError(
            f"cannot fetch the weights {tag!r} of {model} from {source} ({first_line(error)}); give them as a "
            f"file instead, or put them into the cache, {HF_HUB_CACHE} (HF_HOME or HF_HUB_CACHE moves it)"
        ) from error


def in_hub_cache(hub: str) -> Path | None:
    """The file of a hub entry (`owner/repository/` or `owner/repository/file`) if an earlier run fetched it.

    In place of a file that is named open_clip fetches safetensors of the same name where the repository has it.
    """
    if not hub:
        return None
    repository, _, name = hub.rpartition("/")
    for candidate in [str(PurePath(name).with_suffix(".safetensors")), name] if name else WEIGHTS:
        found = try_to_load_from_cache(repository, candidate)
        if isinstance(found, str):
            return Path(found)
    return None

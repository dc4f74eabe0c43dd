"""Which published weights a file is, by its sha256: open_clip's table of weights names the hashes of many."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import open_clip  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Known:
    """Published weights as open_clip has them."""

    models: tuple[str, ...]  # that list them, by open_clip's names
    tag: str
    config: dict[str, Any]  # quick_gelu, mean, std


def known(sha256: str) -> Known | None:
    """The weights of a file's sha256; None for one that open_clip does not know."""
    models: list[str] = []
    tag, config = "", dict[str, Any]()
    for model, name in open_clip.list_pretrained():
        entry = open_clip.pretrained.get_pretrained_cfg(model, name)
        if (start := hash_in(entry.get("url", ""))) and sha256.startswith(start):
            models.append(model)
            tag, config = tag or name, config or dict(entry)
    return Known(tuple(models), tag, config) if models else None


def hash_in(url: str) -> str:
    """The sha256, or its first eight letters, that an address of weights names; empty where it names none.

    >>> hash_in("https://host/v0.2-weights/vit_b_32-laion2b_e16-af8dbd0c.pth")
    'af8dbd0c'
    """
    match = re.search(r"/([0-9a-f]{64})/|-([0-9a-f]{8})\.pth?$", url)
    return (match[1] or match[2]) if match else ""


def openai_archives() -> set[str]:
    """sha256 of the TorchScript files that OpenAI published; no other such file is opened, since it holds code."""
    urls = (open_clip.get_pretrained_url(name, "openai") for name in open_clip.list_pretrained_models_by_tag("openai"))
    return {url.split("/")[-2] for url in urls if url}

"""Which of open_clip's models are taken here, by their configs alone: nothing is built or fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

import open_clip  # type: ignore[import-untyped]

TRANSFORMERS: Final = ("vit_", "eva", "vitamin")  # how timm's names of transformers begin


@dataclass(frozen=True)
class KnownModel:
    """One model of open_clip."""

    name: str
    tower: str  # its image tower, in words
    gives: Literal["blocks", "tokens", ""]  # what methods may need of it; empty: it is refused
    reason: str = ""  # why it is refused


def known_models() -> Iterator[KnownModel]:
    """Every model, in open_clip's order."""
    for name in open_clip.list_models():
        yield known_model(name, open_clip.get_model_config(name))


def known_model(name: str, settings: dict[str, Any]) -> KnownModel:
    """What a model's config says of it."""
    tower, gives, reason = _image(settings)
    if gives and (words := _text(settings["text_cfg"])):
        return KnownModel(name, tower, "", words)
    return KnownModel(name, tower, gives, reason)


def _image(settings: dict[str, Any]) -> tuple[str, Literal["blocks", "tokens", ""], str]:
    vision = settings["vision_cfg"]
    if "multimodal_cfg" in settings or vision.get("attentional_pool"):
        return "CoCa's", "", "a model that writes captions: its image tower pools its tokens by queries of their own"
    if trunk := vision.get("timm_model_name"):
        return _of_timm(trunk, vision)
    if isinstance(vision.get("layers"), list):
        return "ResNet of CLIP", "tokens", ""
    if vision.get("pool_type", "tok") != "tok":
        return "ViT, average", "", "a norm follows the average of its tokens, which none of them went through alone"
    return "ViT", "blocks", ""


def _of_timm(trunk: str, vision: dict[str, Any]) -> tuple[str, Literal["tokens", ""], str]:
    if not trunk.startswith(TRANSFORMERS):
        words = "its head is not linear and was trained on pooled features alone"
        return f"trunk {trunk}", *(("", words) if vision.get("timm_proj") == "mlp" else ("tokens", ""))
    if "relpos" in trunk:
        return f"transformer {trunk}", "", "it has positions between pairs of tokens, of one size of pictures"
    return f"transformer {trunk}", "tokens", ""


def _text(text: dict[str, Any]) -> str:
    """Why texts cannot be encoded; empty where they can."""
    needed = "hf_model_name" in text or "hf_tokenizer_name" in text
    return "its texts need the package transformers, which is not installed" if needed and not _there() else ""


def _there() -> bool:
    return find_spec("transformers") is not None

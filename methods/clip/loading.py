"""Loading a CLIP: built-in open_clip models by tag or file, and models that a config file describes."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch
from torch import nn

from methods.clip.file_settings import of_a_file
from methods.clip.file_weights import load_weights
from methods.clip.model import OPENAI_MEAN, OPENAI_STD, Clip
from methods.clip.tags import fetched
from methods.clip.vit import Readout
from methods.clip_file import read_config, weights_at
from methods.downloads import first_line
from methods.weight_endings import ENDINGS, has_weight_ending
from splits.hashing import file_sha256


def load_clip(
    model: str,
    pretrained: str | None,
    *,
    config_file: Path | None = None,
    beside: Path | None = None,
    text_cache: Path | None = None,
    best_readout: Readout = "value",
    seed: int = 0,
) -> Clip:
    """Load a frozen CLIP in fp32 on the CPU.

    model: an open_clip name (`ViT-B-16`), or any name where `config_file` (an open_clip JSON model config) is given.
    pretrained: an open_clip tag (`openai`), or a weights file (see `methods.weight_file`); None: random weights drawn
        from `seed`, for tests.
    beside: the `open_clip_config.json` that came with a weights file.
    text_cache: folder in which text prototypes are kept. best_readout: see `Clip`.

    Activation, mean, std and image size are those that the weights were trained with: of a tag as open_clip has them;
    of a file as its sha256 tells, else as the config beside it says, else as the model's config has them with OpenAI's
    mean and std, which `Clip.remarks` says then.

    Raises ValueError, FileNotFoundError or ConnectionError, each with one line that says what to do.
    """
    settings, preprocess = _config_of(model, config_file)
    tag = {} if pretrained is None or config_file else open_clip.pretrained.get_pretrained_cfg(model, pretrained)
    path = None if pretrained is None else _weights_path(model, pretrained, tag)
    digest = None if path is None else file_sha256(path)
    remarks: tuple[str, ...] = ()
    if tag:
        settings["quick_gelu"] = bool(tag.get("quick_gelu", False))
        preprocess = tag
    elif path is not None and config_file is None:
        settings, preprocess, remarks = of_a_file(model, settings, path, digest or "", beside)
    network = _built(model, settings, seed)
    if path is not None:
        remarks += load_weights(network, path, model, digest or "", original=config_file is not None)
    return Clip(
        model=network,
        tokenizer=_tokenizer(model, settings, config_file),
        embed_dim=settings["embed_dim"],
        name=model,
        architecture=json.dumps(settings, sort_keys=True),
        weights_sha256=digest,
        mean=[255 * v for v in preprocess["mean"]] if "mean" in preprocess else OPENAI_MEAN,
        std=[255 * v for v in preprocess["std"]] if "std" in preprocess else OPENAI_STD,
        text_cache=text_cache,
        remarks=remarks,
        best_readout=best_readout,
    )


def _config_of(model: str, config_file: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The open_clip model config and, where the file has one, its preprocessing."""
    if config_file is not None:
        return read_config(config_file)
    settings = open_clip.get_model_config(model) if ":" not in model else None
    if settings is None:
        near = difflib.get_close_matches(model, open_clip.list_models(), n=4)
        raise ValueError(
            f"open_clip has no model {model!r}; near: {', '.join(near) or 'none'} "
            "(open_clip.list_models() has all; a custom model needs its JSON config file)"
        )
    return settings, {}


def _weights_path(model: str, pretrained: str, tag: dict[str, Any]) -> Path:
    """The weights on this disk, downloaded where a tag is given and they are not here yet."""
    if tag:
        return fetched(model, pretrained, tag)
    path = weights_at(Path(pretrained))
    if path.is_file():
        if not has_weight_ending(path):
            raise ValueError(f"CLIP weights come as {', '.join(ENDINGS)}; {path} has {path.suffix or 'no suffix'}")
        return path
    if has_weight_ending(path) or len(path.parts) > 1:
        raise FileNotFoundError(f"there is no file of CLIP weights {path}")
    tags = open_clip.list_pretrained_tags_by_model(model)
    raise ValueError(
        f"{model} has no weights tagged {pretrained!r}, nor is that a file; tags: {', '.join(tags) or 'none'}"
    )


def _built(model: str, settings: dict[str, Any], seed: int) -> nn.Module:
    """The network with random weights, drawn without touching the global generator and without any download."""
    custom = settings.get("custom_text", False) or "hf_model_name" in settings["text_cfg"]
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    settings = {key: value for key, value in settings.items() if key != "custom_text"}
    settings["vision_cfg"] = settings["vision_cfg"] | {"timm_model_pretrained": False}
    settings["text_cfg"] = settings["text_cfg"] | {"hf_model_pretrained": False}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return kind(**settings).float()
    except (TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
        raise ValueError(f"open_clip cannot build {model} from its config: {first_line(error)}") from error


def _tokenizer(model: str, settings: dict[str, Any], config_file: Path | None) -> Any:
    if config_file is None:
        try:
            return open_clip.get_tokenizer(model)
        except (OSError, ValueError, ImportError) as error:
            raise ConnectionError(f"cannot get the tokenizer of {model}: {first_line(error)}") from error
    return open_clip.SimpleTokenizer(context_length=settings["text_cfg"].get("context_length", 77))

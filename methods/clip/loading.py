"""Loading a CLIP: built-in open_clip models by tag or file, and models that a config file describes."""

from __future__ import annotations

import difflib
import json
import warnings
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT as HF_ENDPOINT
from huggingface_hub.constants import HF_HUB_CACHE
from torch import nn

from methods.clip.model import OPENAI_MEAN, OPENAI_STD, Clip
from methods.downloads import first_line, reach
from splits.hashing import file_sha256

HUB_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
ARCHIVE_ONLY = ("input_resolution", "context_length", "vocab_size")  # of OpenAI's archives, no weights
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def load_clip(
    model: str,
    pretrained: str | None,
    *,
    config_file: Path | None = None,
    text_cache: Path | None = None,
    seed: int = 0,
) -> Clip:
    """Load a frozen CLIP in fp32 on the CPU.

    model: an open_clip name (`ViT-B-16`), or any name where `config_file` (an open_clip JSON model config) is given.
    pretrained: an open_clip tag (`openai`), or a weights file (.safetensors; .pt, .pth, .bin without pickled code);
        None: random weights drawn from `seed`, for tests.
    text_cache: folder in which text prototypes are kept.

    The activation is the one the tag's weights were trained with, so `ViT-B-16` with `openai` has QuickGELU. OpenAI's
    files (`ViT-B-16.pt`, known by sha256) have it too. No other file says it: there the model's config decides, so name
    the `-quickgelu` variant for OpenAI's weights in another format.

    Raises ValueError, FileNotFoundError or ConnectionError, each with one line that says what to do.
    """
    settings, preprocess = _config_of(model, config_file)
    tag = {} if pretrained is None or config_file else open_clip.pretrained.get_pretrained_cfg(model, pretrained)
    path = None if pretrained is None else _weights_path(model, pretrained, tag)
    if tag:
        settings["quick_gelu"] = bool(tag.get("quick_gelu", False))
        preprocess = tag
    digest = None if path is None else file_sha256(path)
    archive = digest in openai_archives()
    if archive:
        settings["quick_gelu"] = True
    network = _built(model, settings, seed)
    if path is not None:
        _load_weights(network, path, model, archive=archive)
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
    )


def _config_of(model: str, config_file: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The open_clip model config and, where the file has one, its preprocessing."""
    if config_file is None:
        settings = open_clip.get_model_config(model) if ":" not in model else None
        if settings is None:
            near = difflib.get_close_matches(model, open_clip.list_models(), n=4)
            raise ValueError(
                f"open_clip has no model {model!r}; near: {', '.join(near) or 'none'} "
                "(open_clip.list_models() has all; a custom model needs its JSON config file)"
            )
        return settings, {}
    try:
        content = json.loads(Path(config_file).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no CLIP config file {config_file}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the CLIP config {config_file}: {error}") from error
    settings = content.get("model_cfg", content) if isinstance(content, dict) else {}
    lacking = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in settings]
    if lacking:
        raise ValueError(f"{config_file} is no open_clip model config: it lacks {', '.join(lacking)}")
    return dict(settings), content.get("preprocess_cfg", {})


def _weights_path(model: str, pretrained: str, tag: dict[str, Any]) -> Path:
    """The weights on this disk, downloaded where a tag is given and they are not here yet."""
    if tag:
        return _downloaded(model, pretrained, tag)
    path = Path(pretrained)
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise ValueError(f"CLIP weights come as {', '.join(SUFFIXES)}; {path} has {path.suffix or 'no suffix'}")
        return path
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise FileNotFoundError(f"there is no file of CLIP weights {path}")
    tags = open_clip.list_pretrained_tags_by_model(model)
    raise ValueError(
        f"{model} has no weights tagged {pretrained!r}, nor is that a file; tags: {', '.join(tags) or 'none'}"
    )


def _downloaded(model: str, pretrained: str, tag: dict[str, Any]) -> Path:
    """The weights of a tag: from the hub's cache as they lie there, or fetched."""
    cached = _in_hub_cache(tag.get("hf_hub", ""))
    if cached is not None:
        return cached
    try:
        reach(HF_ENDPOINT if tag.get("hf_hub") else tag["url"])
        return Path(open_clip.download_pretrained(tag))
    except (OSError, RuntimeError, ValueError) as error:  # every client error of the hub is one of these
        source = f"{HF_ENDPOINT}/{tag['hf_hub'].rstrip('/')}" if tag.get("hf_hub") else tag.get("url")
        raise ConnectionError(
            f"cannot fetch the weights {pretrained!r} of {model} from {source} ({first_line(error)}); give them as a "
            f"file instead, or put them into the cache, {HF_HUB_CACHE} (HF_HOME or HF_HUB_CACHE moves it)"
        ) from error


def _in_hub_cache(hub: str) -> Path | None:
    """The file of a hub entry (`owner/repository/` or `owner/repository/file`) if an earlier run fetched it."""
    if not hub:
        return None
    repository, _, name = hub.rpartition("/")
    for candidate in [name] if name else HUB_NAMES:
        found = try_to_load_from_cache(repository, candidate)
        if isinstance(found, str):
            return Path(found)
    return None


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


def openai_archives() -> set[str]:
    """sha256 of the TorchScript files that OpenAI published; no other such file is opened, since it holds code."""
    urls = (open_clip.get_pretrained_url(name, "openai") for name in open_clip.list_pretrained_models_by_tag("openai"))
    return {url.split("/")[-2] for url in urls if url}


def _load_weights(network: nn.Module, path: Path, model: str, *, archive: bool) -> None:
    """Load by open_clip's loader, without unpickling code; half precision is cast by the copy."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, OpenAI's files stay as they are
            if archive:
                state = torch.jit.load(path, map_location="cpu").state_dict()
                network.load_state_dict({name: value for name, value in state.items() if name not in ARCHIVE_ONLY})
            else:
                open_clip.load_checkpoint(network, str(path), strict=True, weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes of a broken file lead it to
        raise ValueError(f"{path} does not hold the weights of {model}: {first_line(error, 400)}") from error


def _tokenizer(model: str, settings: dict[str, Any], config_file: Path | None) -> Any:
    if config_file is None:
        try:
            return open_clip.get_tokenizer(model)
        except (OSError, ValueError, ImportError) as error:
            raise ConnectionError(f"cannot get the tokenizer of {model}: {first_line(error)}") from error
    return open_clip.SimpleTokenizer(context_length=settings["text_cfg"].get("context_length", 77))

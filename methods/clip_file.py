"""A CLIP that is a file, or a folder as the hub has it: its weights, and the config that came with them. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

CONFIG: Final = "open_clip_config.json"
# What open_clip calls the weights of a repository, the first that is there.
WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")


def weights_at(path: Path) -> Path:
    """The file itself, or that of a folder; raises ValueError where the folder has none by open_clip's names."""
    if not path.is_dir():
        return path
    found = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if found is None:
        raise ValueError(f"{path} holds none of {', '.join(WEIGHTS)}; give the file of weights itself")
    return found


def config_beside(weights: Path) -> Path | None:
    """The `open_clip_config.json` in the folder of a file of weights, if there is one."""
    config = weights.with_name(CONFIG)
    return config if config.is_file() else None


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model config and the preprocessing of an open_clip JSON; a bare model config has no preprocessing.

    Raises FileNotFoundError or ValueError with one line.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no CLIP config file {path}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the CLIP config {path}: {error}") from error
    settings = content.get("model_cfg", content) if isinstance(content, dict) else None
    needed = ("embed_dim", "vision_cfg", "text_cfg")
    lacking = [key for key in needed if not isinstance(settings, dict) or key not in settings]
    if lacking or not isinstance(settings, dict):
        raise ValueError(f"{path} is no open_clip model config: it lacks {', '.join(lacking)}")
    preprocess = content.get("preprocess_cfg", {})
    if not isinstance(preprocess, dict):
        raise ValueError(f"{path}: preprocess_cfg is {preprocess!r}; expected an object")
    for name in ("mean", "std"):
        if name in preprocess and not _is_colour(preprocess[name]):
            raise ValueError(f"{path}: preprocess_cfg.{name} is {preprocess[name]!r}; expected three numbers")
    return dict(settings), dict(preprocess)


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(v, int | float) for v in value)


def config_sha256(weights: Path) -> str:
    """sha256 over what the config beside a file says, in canonical form; empty where there is none."""
    config = config_beside(weights)
    if config is None:
        return ""
    text = json.dumps(read_config(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def disagreements(named: Mapping[str, Any], beside: Mapping[str, Any]) -> list[str]:
    """Where the config beside a file describes another network than the model that was named.

    Activation and image size are left out: of one network there are several, and the file's own count.

    >>> disagreements({"embed_dim": 512, "vision_cfg": {"layers": 12}}, {"embed_dim": 768, "quick_gelu": True})
    ['embed_dim 768 instead of 512']
    """
    found = []
    for key in named.keys() & beside.keys() - {"quick_gelu", "image_size"}:
        mine, other = named[key], beside[key]
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            found += [f"{key}.{line}" for line in disagreements(mine, other)]
        elif mine != other:
            found.append(f"{key} {other} instead of {mine}")
    return sorted(found)

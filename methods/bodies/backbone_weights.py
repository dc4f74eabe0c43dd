"""ImageNet weights of backbones: from a file or a URL, in mmsegmentation's or timm's names."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

import torch
from torch import Tensor, nn

from methods.bodies.weight_names import CLASSIFIERS, in_our_names, may_lack
from methods.downloads import first_line, reach
from methods.weight_endings import ENDINGS, has_weight_ending
from methods.weight_file import read_tensors, refuse_not_finite, unprefixed
from splits.hashing import file_sha256

PREFIXES = ("module.", "backbone.")  # what they put before every name


def load_backbone(backbone: nn.Module, kind: str, source: str | Path) -> str:
    """Load weights into a backbone (of mmsegmentation's class `kind`) and return the file's sha256.

    source: a file, or a URL, which is kept in torch's hub folder (TORCH_HOME moves it).

    Raises FileNotFoundError, ConnectionError, or ValueError that names the tensors that are missing, unknown or of
    another shape.
    """
    path = _file_of(str(source))
    state = in_our_names(kind, _read(path), backbone)
    _load(backbone, kind, state, path, lacking={name for name in backbone.state_dict() if may_lack(kind, name)})
    return file_sha256(path)


def load_parts(body: nn.Module, parts: tuple[str, ...], source: str | Path) -> str:
    """Load the weights of some parts of a module, named by the prefixes of their tensors; the rest is left as it is.

    Returns the file's sha256; source and errors as of `load_backbone`.
    """
    path = _file_of(str(source))
    others = {name for name in body.state_dict() if not name.startswith(parts)}
    state = {name: value for name, value in _read(path).items() if not re.match(CLASSIFIERS, name)}
    _load(body, type(body).__name__, state, path, lacking=others)
    return file_sha256(path)


def _load(module: nn.Module, kind: str, state: dict[str, Tensor], path: Path, *, lacking: set[str]) -> None:
    """Load tensors into a module; raises ValueError where one fits none of it, or it lacks another than these."""
    ours = module.state_dict()
    missing = sorted(ours.keys() - state.keys() - lacking)
    extra = sorted(state.keys() - ours.keys())
    misshapen = sorted(
        f"{name} {tuple(state[name].shape)} instead of {tuple(ours[name].shape)}"
        for name in ours.keys() & state.keys()
        if state[name].shape != ours[name].shape
    )
    if missing or extra or misshapen:
        raise ValueError(
            f"{path} does not hold the weights of this {kind}: missing {_listed(missing)}, unknown {_listed(extra)}, "
            f"misshapen {_listed(misshapen)}"
        )
    module.load_state_dict(state, strict=False)


def _file_of(source: str) -> Path:
    """The file on this disk, downloaded where a URL is given and it is not here yet."""
    if not re.match(r"(https?|file)://", source):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file of body weights {path}")
    else:
        path = _downloaded(source)
    if not has_weight_ending(path):
        raise ValueError(f"body weights come as {', '.join(ENDINGS)}; {path} has {path.suffix or 'no suffix'}")
    return path


def _downloaded(url: str) -> Path:
    """The file of a URL in torch's hub folder; a name like `x-119e8c9f.pth` holds the start of its sha256."""
    parts = urllib.parse.urlsplit(url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(parts.path).name
    named = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if not path.is_file():
        try:
            if parts.scheme != "file":
                reach(url)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=named and named[1], progress=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConnectionError(
                f"cannot fetch the body weights {url} ({first_line(error)}); give them as a file instead, or put them "
                f"there: {path}"
            ) from error
    if named and not file_sha256(path).startswith(named[1]):
        raise ValueError(f"{path} is not what {url} names: its sha256 does not start with {named[1]}; delete it")
    return path


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, out of their wrapper, without prefix; no code in it is run."""
    state = unprefixed(read_tensors(path))
    for prefix in PREFIXES:  # a whole segmentor's heads go with the prefix
        if any(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    refuse_not_finite(state, path)
    return state


def _listed(names: list[str], most: int = 8) -> str:
    first = ", ".join(names[:most]) or "nothing"
    return first if len(names) <= most else f"{first} and {len(names) - most} more"

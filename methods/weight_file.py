"""Weights as people have them: tensors by name off any file that holds some, without running code in it.

What a file is says its content and not its ending. A trainer's wrapper and its prefixes are taken off, and what is no
file of weights (a page of a download, a pointer, a part of a file) is called by its name.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from methods.downloads import first_line
from methods.weight_kind import header_of, is_torchscript, refuse_what_is_none

WRAPPERS: Final = ("state_dict", "model_state_dict", "model")  # what trainers put the tensors under
PREFIXES: Final = ("module.", "model.", "_orig_mod.")  # what they put before every name: DDP, Lightning, torch.compile
SAVE_ALONE: Final = (
    "save the tensors alone where you trust the file: "
    "torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW_FILE)"
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU, in the precision that they are stored in.

    Forms: safetensors; what `torch.save` wrote, zipped or in its older form, with numpy's scalars, arrays and strings
    beside the tensors; all within `state_dict`, `model_state_dict` or `model`, nested or not.
    Raises FileNotFoundError, or ValueError with one line that says what the file is instead.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {path}")
    refuse_what_is_none(path)
    if is_torchscript(path):
        raise ValueError(
            f"{path} is a TorchScript archive, which holds code; only OpenAI's, known by sha256, are opened"
        )
    content: Any = _safetensors(path) if header_of(path) is not None else _unpickled(path)
    while isinstance(content, Mapping) and (inner := _wrapped(content)) is not None:
        content = inner
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds no tensors by name but a {type(content).__name__}; {SAVE_ALONE}")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(map(str, list(content)[:3])) or "nothing"
        raise ValueError(f"{path} holds no tensors by name: it has {keys}")
    return state


def _wrapped(content: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """What a trainer's wrapper is around, whatever lies beside it, such as a loss; None where there is none."""
    return next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)


def unprefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same without what trainers put before all names, however often.

    >>> list(unprefixed({"module.module.a": torch.zeros(1), "module.module.b": torch.zeros(1)}))
    ['a', 'b']
    """
    names = list(state)
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in names)), None):
        names = [name.removeprefix(prefix) for name in names]
    return dict(zip(names, state.values(), strict=True))


def precision_words(state: Mapping[str, Tensor]) -> str:
    """Empty for weights in float32 or wider; else what they are rounded to, in words for a table.

    >>> precision_words({"a": torch.zeros(1, dtype=torch.bfloat16)})
    'stored in bfloat16, rounded to 8 significant bits'
    """
    narrow = sorted(
        {value.dtype for value in state.values() if value.is_floating_point() and value.itemsize < 4}, key=str
    )
    bits = {dtype: 1 - round(math.log2(torch.finfo(dtype).eps)) for dtype in narrow}
    names = {dtype: str(dtype).removeprefix("torch.") for dtype in narrow}
    return " and ".join(f"stored in {names[dtype]}, rounded to {bits[dtype]} significant bits" for dtype in narrow)


def refuse_not_finite(state: Mapping[str, Tensor], source: object) -> None:
    """Raises ValueError that names the first tensor with NaN or Inf in it, and how many values there are."""
    for name, value in state.items():
        if not value.is_floating_point():
            continue
        if wrong := int((~torch.isfinite(value.float())).sum()):
            what = "NaN" if bool(torch.isnan(value.float()).any()) else "Inf"
            raise ValueError(
                f"{source}: {what} in {wrong} of {value.numel()} values of the tensor {name!r}; nothing can be scored "
                "with these weights, take an earlier checkpoint"
            )


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {first_line(error)}") from None


def _unpickled(path: Path) -> Any:
    """What `torch.save` wrote; of other classes than tensors only numpy's plain ones are made."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(_of_numpy())):
            warnings.simplefilter("ignore")  # torch's doubts about files that it then reads
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes of a broken file lead it to
        if classes := _other_classes(path, error):
            raise ValueError(
                f"{path} holds objects of {', '.join(classes[:3])} beside its tensors, which only running code could "
                f"read; {SAVE_ALONE}"
            ) from None
        raise ValueError(f"{path} cannot be read as weights: it is damaged, or another format") from None


def _other_classes(path: Path, error: Exception) -> list[str]:
    """The classes for which a file is not opened."""
    known = {name for _, name in _of_numpy()}
    try:
        names = set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - known
    except Exception:  # torch's older format is not looked through by it
        names = set(re.findall(r"GLOBAL ([\w.]+)", str(error)))
    if "ObjectDType" in str(error):
        names.add("numpy.ndarray of Python objects")
    return sorted(names)


def _of_numpy() -> Iterable[tuple[Any, str]]:
    """What numpy's scalars, arrays and strings are made of, under the names that files have of it."""
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    for folder in ("numpy.core", "numpy._core"):  # before numpy 2, and since
        yield multiarray.scalar, f"{folder}.multiarray.scalar"
        yield multiarray._reconstruct, f"{folder}.multiarray._reconstruct"
    yield np.ndarray, "numpy.ndarray"
    yield np.dtype, "numpy.dtype"
    yield from ((kind, f"numpy.dtypes.{kind.__name__}") for kind in _plain_dtypes())


def _plain_dtypes() -> Iterable[type]:
    kinds = (*"?bhilqBHILQefdgFD", "U1", "S1")
    return dict.fromkeys(type(np.dtype(kind)) for kind in kinds)

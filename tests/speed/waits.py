"""Where a training step would make the CPU wait for a GPU: operations whose result it has to know, and small copies.

A step is free of them where every kernel can be queued without a word from the device. They are counted on the CPU, by
watching which operations the losses and their gradients run; the optimiser is torch's own (fused on CUDA).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from methods.check_subject import SEEN, STEPS, Subject, labels_of, small_clip, words
from methods.method import Images, Method
from methods.registry import METHODS, build_method, config_class, entry

METHODS_FOLDER: Final = Path(__file__).resolve().parents[2] / "methods"
READS: Final = frozenset(  # of aten: the size of the result, or a number of it, has to be known on the CPU
    "_local_scalar_dense _unique2 bincount equal is_nonzero masked_select nonzero unique_consecutive unique_dim".split()
)
COPIES: Final = frozenset({Tensor.cpu, Tensor.numpy, Tensor.tolist, torch.tensor, torch.as_tensor, torch.from_numpy})

Place = tuple[str, str]  # operation, and the line of ours it came from


def waits_of(name: str) -> Counter[Place]:
    """What one step of a registered method would wait for, after a step that fills its caches."""
    known, config = entry(name), config_class(name)
    clip = None if known.needs == "nothing" else small_clip()
    fields = known.fixed | ({"body": "small"} if "body" in config.model_fields else {})
    subject = Subject(lambda: build_method(name, clip=clip, vocabulary=words(SEEN), config=config(**fields)))
    method = subject.build().train()
    batch = (subject.pictures(), labels_of(subject.masks()))
    _step(method, *batch, progress=0.5)
    with watched() as found:
        _step(method, *batch, progress=0.5 + 1 / STEPS)
    return found


def table() -> Iterator[tuple[str, Counter[Place]]]:
    """Each method of the comparison that trains, with what it would wait for."""
    for name, known in METHODS.items():
        if known.trained and known.group == "comparison":
            yield name, waits_of(name)


@contextmanager
def watched() -> Iterator[Counter[Place]]:
    """Counts within."""
    found: Counter[Place] = Counter()
    with _Functions(found), _Operations(found):
        yield found


class _Operations(TorchDispatchMode):
    """Sees what reaches the kernels, gradients included."""

    def __init__(self, found: Counter[Place]):
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        counted = name == "repeat_interleave" and "output_size" not in (kwargs or {})
        if name in READS or masked or counted:
            self._found[f"{name} by a mask" if masked else name, _line()] += 1
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    """Sees what a tensor on the CPU answers without any kernel."""

    def __init__(self, found: Counter[Place]):
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in COPIES:
            self._found[func.__name__, _line()] += 1
        if func is one_hot and (len(args) > 1 or kwargs):  # whether the classes are in range it asks on a CPU alone
            before = dict(self._found)
            result = func(*args, **(kwargs or {}))
            self._found.clear()
            self._found.update(before)
            return result
        return func(*args, **(kwargs or {}))


def _step(method: Method, images: Images, labels: Tensor, *, progress: float) -> None:
    torch.manual_seed(0)
    losses = method.losses(images, labels, progress=progress)
    torch.stack(tuple(losses.values())).sum().backward()


def _line() -> str:
    """The innermost line of `methods` at work; "backward" where none is."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(METHODS_FOLDER):
            return f"{path.relative_to(METHODS_FOLDER.parent)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "backward"

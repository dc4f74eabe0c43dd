"""A pretended GPU: tensors with real values on the CPU that behave, seen from Python, as if they lay on `cuda:0`.

Within `pretended()`, whatever is made on or moved to "cuda" is a `Remote`. A call that mixes it with tensors of the CPU
raises, but for what CUDA allows; `.numpy()` refuses; every place where a GPU would make the CPU wait is counted. The
values are those of the CPU's kernels, so results can be held against the CPU's, bit for bit. What it cannot show:
kernels of CUDA, pinned memory, and devices that are mixed inside one call of torch's C++.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("cuda", 0)
PROJECT = Path(__file__).resolve().parents[1]
Waits = Counter[tuple[str, str]]  # operation, and the line of the project it came from

READS = frozenset(  # of aten: the size of the result, or a number of it, has to be known on the CPU
    "_local_scalar_dense _unique2 bincount equal is_nonzero masked_select nonzero unique_consecutive unique_dim".split()
)
# what CUDA takes tensors of two devices in
CROSSING = {Tensor.copy_, Tensor.to, Tensor.type_as, Tensor.data.__set__}  # type: ignore[attr-defined]
TOGETHER = {torch.cat, torch.stack, torch.concat, torch.hstack, torch.vstack}  # not even a number of the CPU
NUMPY = {Tensor.numpy, Tensor.__array__}


class Remote(Tensor):
    """A tensor that says it is on the GPU."""

    device = property(lambda self: DEVICE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _plain(self).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        copied._is_param = getattr(self, "_is_param", False)  # type: ignore[attr-defined]
        memo[id(self)] = copied
        return copied

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {}, Counter())


@contextmanager
def pretended() -> Iterator[Waits]:
    """Within, there is such a device. Yields the waits so far; `clear()` starts them anew."""
    waits: Waits = Counter()
    with _Functions(waits):
        yield waits


class _Functions(TorchFunctionMode):
    def __init__(self, waits: Waits):
        super().__init__()
        self._waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {}, self._waits)


class _Operations(TorchDispatchMode):
    """Counts what reaches the kernels and cannot be queued, gradients included."""

    def __init__(self, waits: Waits):
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # made of other operations, and in inference mode nothing has taken it apart yet
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("index", "index_put", "index_put_") and any(
            place is not None and place.dtype in (torch.bool, torch.uint8) for place in args[1]
        ):
            name += " by a mask"
        counted = name == "repeat_interleave" and "output_size" not in (kwargs or {})
        if name in READS or name.endswith("mask") or counted:
            self._waits[name, _line()] += 1
        return func(*args, **(kwargs or {}))


def _call(func: Any, args: Any, kwargs: dict[str, Any], waits: Waits) -> Any:
    if func in (torch.device, torch._C._nn._parse_to):  # they say a device and make nothing
        return func(*args, **kwargs)
    if func is torch._has_compatible_shallow_copy_type:  # where not, a module that is moved gets a new parameter
        return isinstance(args[0], Remote) == isinstance(args[1], Remote)
    leaves = tree_flatten((args, kwargs))[0]
    remote = any(isinstance(leaf, Remote) for leaf in leaves)
    if remote:
        _refuse(func, args, [leaf for leaf in leaves if type(leaf) is not Remote and isinstance(leaf, Tensor)])
    goal = next((torch.device(leaf).type for leaf in leaves if _is_device(leaf)), None)
    goal = {Tensor.cpu: "cpu", Tensor.cuda: "cuda"}.get(func, goal)
    if goal is None and func in (Tensor.to, Tensor.type_as) and remote:  # `a.to(b)`, without a device by name
        goal = "cuda" if isinstance(args[-1] if isinstance(args[-1], Tensor) else args[0], Remote) else "cpu"
    if _waits_itself(func, args, kwargs, goal):
        waits[getattr(func, "__name__", str(func)), _line()] += 1
    func = Tensor.to if func is Tensor.cuda else func
    args, kwargs = tree_map(lambda leaf: "cpu" if _is_device(leaf) else leaf, (args, kwargs))
    with torch._C.DisableTorchFunctionSubclass():
        if not remote or (func is one_hot and len(leaves) > 1):  # whether classes are in range it asks on a CPU alone
            result = func(*args, **kwargs)
        else:
            with _Operations(waits):
                result = func(*args, **kwargs)
    wrapped = goal == "cuda" or (goal is None and remote)
    if goal == "cpu":
        return tree_map(lambda leaf: _plain(leaf) if isinstance(leaf, Remote) else leaf, result)
    return tree_map(lambda leaf: _remote(leaf) if isinstance(leaf, Tensor) else leaf, result) if wrapped else result


def _refuse(func: Any, args: Any, local: list[Tensor]) -> None:
    """Raise as CUDA does where tensors of the CPU are among those of the GPU."""
    if func in NUMPY:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
    numbers = func not in TOGETHER and not (local and args and args[0] is local[0] and func is not Tensor.__eq__)
    if func is Tensor.__getitem__ and isinstance(args[0], Remote):
        return  # indices may be on the CPU; they are copied
    if func is Tensor.__setitem__ and isinstance(args[0], Remote):
        places = tree_flatten(args[1])[0]
        local = (
            [args[2]]
            if isinstance(args[2], Tensor)
            and type(args[2]) is not Remote
            and any(isinstance(place, Tensor | list) for place in places)
            else []
        )
    if func not in CROSSING and any(leaf.dim() or not numbers for leaf in local):
        name = getattr(func, "__name__", str(func))
        raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu! ({name})")


def _waits_itself(func: Any, args: Any, kwargs: dict[str, Any], goal: str | None) -> bool:
    """Whether a call waits before any kernel runs: it copies between the devices."""
    first = args[0] if args else None
    if func is Tensor.tolist:
        return isinstance(first, Remote)
    if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(first, Remote):
        return any(isinstance(leaf, list) or type(leaf) is Tensor for leaf in _indices(args[1]))
    moves = isinstance(first, Tensor) and goal is not None and (goal == "cuda") != isinstance(first, Remote)
    made = func in (torch.tensor, torch.as_tensor) and goal == "cuda"
    crosses = func is Tensor.copy_ and isinstance(args[0], Remote) != isinstance(args[1], Remote)
    return (moves or made or crosses) and not kwargs.get("non_blocking", False)


def _indices(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _is_device(leaf: Any) -> bool:
    return isinstance(leaf, torch.device) or (isinstance(leaf, str) and leaf.split(":")[0] in ("cpu", "cuda"))


def _plain(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor)


def _remote(tensor: Tensor) -> Tensor:
    return tensor if isinstance(tensor, Remote) else tensor.as_subclass(Remote)


def _line() -> str:
    """The innermost line of the project at work, tests left out; "backward" where none is."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PROJECT) and path.relative_to(PROJECT).parts[0] in ("methods", "benchmarks", "results"):
            return f"{path.relative_to(PROJECT)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "backward"

"""One function over many files, on several processes where that helps, results in order.

The processes do not import the main module: it may be a script that nobody guarded, which would run again in each of
them. So functions and values must come from modules that can be imported.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
CHUNK = 32
FEW = 64  # fewer items are not worth a pool


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int = 1,
    start: Callable[..., None] | None = None,
    start_arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """`function` of each item, in order. `start` is called once in every process before that."""
    jobs = min(jobs, max(1, len(items) // FEW))
    if jobs == 1:
        if start is not None:
            start(*start_arguments)
        yield from map(function, items)
        return
    with _processes(jobs, initializer=start, initargs=start_arguments) as pool:
        with _main_apart():
            found = pool.map(function, items, chunksize=CHUNK)  # starts the processes
        yield from found


@contextmanager
def beside(module: str) -> Iterator[ProcessPoolExecutor | None]:
    """A second process that imports a module at once, for work with it meanwhile; None where there is one core."""
    if cores() == 1:
        yield None
        return
    with _processes(1) as pool:
        with _main_apart():
            pool.submit(import_module, module)  # starts the process
        yield pool


def _processes(count: int, **how: Any) -> ProcessPoolExecutor:
    """New processes, none of them a fork of this one: its threads would not survive that."""
    known = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in known else "spawn"  # Windows has no fork server
    return ProcessPoolExecutor(count, multiprocessing.get_context(method), **how)


@contextmanager
def _main_apart() -> Iterator[None]:
    """Hide from processes that are started meanwhile where the main module lies."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        del main.__spec__
        vars(main).update(kept)

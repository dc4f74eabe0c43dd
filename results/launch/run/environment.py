"""Environment variables of this process and of those it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from results.store.places import PROJECT


def job_variables(threads: int) -> dict[str, str]:
    """Environment of a process that works on a job: this project's packages are found, threads are limited."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}


@contextmanager
def environment(**changes: str) -> Iterator[None]:
    """Variables set within, and put back after."""
    kept = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value

"""Environment variables of this process and of those it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from results.store.machine import has_avx2
from results.store.places import PROJECT

# With wider vectors than AVX2's, sums are rounded otherwise and trainings drift apart: CPUs that have them and CPUs
# that do not would give other records. torch, MKL on Intel's CPUs, and NumPy before and since 2.4 read these.
_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL X86_V4 AVX512_ICL AVX512_SPR",
}
_ONEDNN = "ONEDNN_MAX_CPU_ISA"


def job_variables(threads: int) -> dict[str, str]:
    """Environment of a process that works on a job: this project's packages are found, threads are limited."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)} | vector_variables()


def vector_variables() -> dict[str, str]:
    """Variables under which x86 CPUs of several kinds give the same bits; what the user has set stays.

    They are read as the libraries are imported: they are for processes that have not begun.
    """
    return {name: os.environ.get(name, value) for name, value in _AVX2.items()} if has_avx2() else {}


def bound_onednn(*, half: bool) -> None:
    """The same for oneDNN in this process, which reads its variable at its first product.

    half: does the job compute in half precision? Then oneDNN keeps the CPU's instructions for it, without which it
    is slow.
    """
    if has_avx2() and not half:
        os.environ.setdefault(_ONEDNN, "AVX2")


def vectors(of_torch: str) -> str:
    """The vector instructions that torch took, with those of these variables that the user has set otherwise."""
    usual = {**_AVX2, _ONEDNN: "AVX2", "MKL_CBWR": ""}
    own = (f"{name}={os.environ[name]}" for name, value in usual.items() if os.environ.get(name, value) != value)
    return " ".join([of_torch, *own])


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

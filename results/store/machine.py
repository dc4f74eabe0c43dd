"""This machine, as a record tells of it: processor, GPU driver, load, energy. Imports no torch by itself."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path


def processor() -> str:
    """The CPU as the kernel names it, with family and model, for several share a name; else its architecture."""
    name, family, model = (_cpu().get(field) for field in ("model name", "cpu family", "model"))
    if not name:
        return platform.processor() or platform.machine()
    return f"{name}, family {family}, model {model}" if family and model else name


def name_of(processor: str) -> str:
    """The name alone of what a record says of its CPU.

    >>> name_of("AMD EPYC, family 25, model 17, AVX2")
    'AMD EPYC'
    """
    return processor.partition(", family ")[0]


def has_avx2() -> bool:
    """Is it an x86 CPU with AVX2, as far as the kernel tells?"""
    return "avx2" in _cpu().get("flags", "").split()


@cache
def _cpu() -> dict[str, str]:
    """What the kernel tells of the first core; empty where it tells nothing."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def driver() -> str:
    """The version of NVIDIA's driver; empty without one."""
    try:
        found = re.search(r"(\d+\.\d+(?:\.\d+)?)", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return ""
    return found[1] if found else ""


def load() -> float | None:
    """The load average over one minute; None where the system tells none."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def gpu_joules(uuid: str) -> float | None:
    """Energy that a GPU has taken since its driver was loaded, by NVML; None where it cannot be read.

    uuid: as torch tells it. NVML counts all GPUs of the machine, torch those that its process may see.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")) / 1000
    except Exception:  # not installed, no GPU, or one that does not count: each has an error of its own
        return None

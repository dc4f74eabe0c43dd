"""This machine, as a record tells of it: processor, GPU driver, load, energy. Imports no torch by itself."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path


@cache
def processor() -> str:
    """The model of the CPU as the kernel names it, else its architecture."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


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

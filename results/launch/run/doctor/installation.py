"""What this installation can do, and what is missing for what. Nothing heavy is needed, not even torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from results.store import machine

RUNS = "run, eval, predict, check, sensitivity, picture, prefetch, check-determinism"  # what imports torch
NEEDED = {  # module -> (distribution, the commands that lack it)
    "torch": ("torch", RUNS),
    "torchvision": ("torchvision", RUNS),
    "open_clip": ("open_clip_torch", RUNS),
    "lightning_fabric": ("lightning-fabric", RUNS),
    "mmseg": ("onedl-mmsegmentation", "run of clipteacher, clip-to-seg and chimera-seg on photos"),
    "mmcv": ("onedl-mmcv", "run of what trains"),
    "cv2": ("opencv-python", RUNS),
    "submitit": ("submitit", "--cluster slurm"),
    "pydantic": ("pydantic", "every command"),
    "pandas": ("pandas", "tables, compare, report, export"),
    "matplotlib": ("matplotlib", "report, picture"),
    "pycocotools": ("pycocotools", "data prepare of COCO"),
}
OPTIONAL = {"tensorboard": "--log tensorboard", "wandb": "--log wandb", "pyarrow": "export --format parquet"}
SLURM = ("sbatch", "srun", "squeue", "scancel", "scontrol")
OPENAI = "ViT-B-16/openai"  # the CLIP of the papers
LOW_GIB = 5


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what lacks it."""

    what: str
    found: str
    missing_for: str = ""  # empty: nothing is missing


def findings(data_root: str | None, runs: Path) -> Iterator[Finding]:
    """Everything, in the order of a report."""
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}, {sys.executable}")
    yield Finding("processor", f"{machine.processor()}, {os.cpu_count()} cores{_memory()}")
    for module, (name, commands) in NEEDED.items():
        yield _package(module, name, commands)
    for module, option in OPTIONAL.items():
        found = _version(module) if find_spec(module) else "not installed (optional)"
        yield Finding(module, found, "" if find_spec(module) else option)
    yield from _gpu()
    yield _clip()
    yield from _data(data_root)
    absent = [name for name in SLURM if shutil.which(name) is None]
    yield Finding("SLURM", f"no {', '.join(absent)}" if absent else "seen", "--cluster slurm" if absent else "")
    yield _disk(runs)


def _package(module: str, name: str, commands: str) -> Finding:
    if find_spec(module) is None:
        return Finding(name, "not installed", commands)
    return Finding(name, _version(name))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "there, of no known version"


def _gpu() -> Iterator[Finding]:
    """The driver's word first; torch's where it is installed."""
    names = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    driver = machine.driver()
    yield Finding("GPU driver", driver or "none", "" if driver else "--device cuda, doctor --gpu")
    for line in filter(None, (names or "").splitlines()):
        yield Finding("GPU", line)
    if find_spec("torch") is None:
        return
    code = (
        "import torch; n = torch.cuda.device_count() if torch.cuda.is_available() else 0; "
        "print(torch.version.cuda or 'without CUDA', n, sep='|')"
    )
    told = _output(sys.executable, "-c", code)  # in a process of its own: a broken driver can end one
    if told is None:
        yield Finding("torch", "cannot be imported", RUNS)
        return
    cuda, _, count = told.strip().partition("|")
    seen = f"built with CUDA {cuda}, sees {count} GPU{'s' * (count != '1')}"
    wrong = driver and count == "0"  # a GPU that torch cannot use
    yield Finding("torch and GPUs", seen, "--device cuda: torch and driver do not fit" if wrong else "")


def _clip() -> Finding:
    """The papers' CLIP, in the folder where open_clip's downloads lie."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    older = Path.home() / ".cache" / "clip" / "ViT-B-16.pt"
    found = [*hub.glob("models--timm--vit_base_patch16_clip_224.openai/snapshots/*/open_clip*"), older]
    there = next((path for path in found if path.exists()), None)
    if there:
        return Finding(f"CLIP {OPENAI}", f"here, {there}")
    return Finding(f"CLIP {OPENAI}", "not on this disk", f"--clip {OPENAI} without the net (`prefetch` fetches it)")


def _data(data_root: str | None) -> Iterator[Finding]:
    """Each data root, and what of the benchmarks is below it."""
    from benchmarks.data.datasets import VARIABLE, data_roots
    from splits.errors import UserError

    try:
        roots = data_roots(data_root)
    except UserError as error:
        yield Finding("data roots", str(error), "benchmarks of photos")
        return
    if not roots:
        yield Finding("data roots", f"none given (--data-root, or {VARIABLE})", "benchmarks of photos")
        return
    from benchmarks.catalogue import BENCHMARKS, Data

    yield Finding("data roots", ", ".join(map(str, roots)))
    for bench in (b for b in BENCHMARKS.values() if b.photos and not b.name.endswith("-tune")):
        try:
            readers = {part: Data(data_root, subset=True).open(bench, part) for part in bench.split.parts}
        except UserError:
            yield Finding(bench.name, "not found", f"`data verify {bench.name}` says what was looked for")
            continue
        partial = any(reader.partial for reader in readers.values())
        counts = " / ".join(str(len(reader)) for reader in readers.values())
        yield Finding(
            bench.name, f"{counts} {' / '.join(readers)} images", "whole results (partial: --subset)" if partial else ""
        )


def _disk(runs: Path) -> Finding:
    there = next(path for path in (runs, *runs.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / 2**30
    writable = os.access(there, os.W_OK)
    missing = "" if writable else "run: the folder cannot be written"
    missing = missing or (f"long grids: less than {LOW_GIB} GiB" if free < LOW_GIB else "")
    return Finding("runs", f"{runs}, {free:.1f} GiB free", missing)


def _memory() -> str:
    try:
        return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return ""


def _output(*command: str) -> str | None:
    """What a command prints; None where it is not there, fails, or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

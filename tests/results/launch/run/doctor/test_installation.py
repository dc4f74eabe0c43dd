"""What is here and what is missing: told without torch, and never an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from results.launch.run.doctor import installation
from results.launch.run.doctor.installation import findings
from splits.loader import read_list


def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_root: str | None = None) -> dict[str, tuple[str, str]]:
    monkeypatch.setattr(installation, "_output", lambda *_: None)
    return {one.what: (one.found, one.missing_for) for one in findings(data_root, tmp_path / "runs")}


def test_it_needs_neither_torch_nor_anything_heavy() -> None:
    """Fails when the command that says that torch is missing needs it, or what it is there to miss."""
    absent = ["torch", "torchvision", "open_clip", "mmseg", "mmcv", "cv2", "submitit", "pandas", "matplotlib"]
    code = (
        "import sys, importlib.util as u\n"
        f"absent = {absent}\n"
        "for name in absent: sys.modules[name] = None\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in absent else real(name, *a)\n"
        "import harness; sys.exit(harness.main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    for name in ("torch", "open_clip_torch", "submitit", "pandas"):
        assert "not installed" in lines[name]
        assert "missing for" in lines[name]
    assert "torch and GPUs" not in done.stdout


def test_what_lacks_what_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when something is missing and no command is named that lacks it, or is there and something is missed."""
    monkeypatch.setattr(installation.shutil, "which", lambda name: None if name == "squeue" else f"/bin/{name}")
    monkeypatch.setattr(installation.machine, "driver", lambda: "580.1")
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)
    found = told(monkeypatch, tmp_path)
    assert found["SLURM"] == ("no squeue", "--cluster slurm")
    assert found["GPU driver"] == ("580.1", "")
    assert found["data roots"][1] == "benchmarks of photos"
    assert found["pydantic"][1] == ""
    assert "GiB free" in found["runs"][0]


def test_a_gpu_that_torch_cannot_use_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when a driver that does not fit torch looks like a machine without a GPU, or like one that works."""
    monkeypatch.setattr(installation.machine, "driver", lambda: "470.1")
    outputs = {"nvidia-smi": "Tesla T4, 15360 MiB, 470.1\n", sys.executable: "13.2|0\n"}
    monkeypatch.setattr(installation, "_output", lambda command, *_: outputs[command])
    found = {one.what: one for one in findings(None, tmp_path)}
    assert "Tesla T4" in found["GPU"].found
    assert "do not fit" in found["torch and GPUs"].missing_for
    outputs[sys.executable] = "13.2|1\n"
    found = {one.what: one for one in findings(None, tmp_path)}
    assert found["torch and GPUs"].missing_for == ""


def test_data_roots_are_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when an empty or absent folder looks like data, or ends the command."""
    found = told(monkeypatch, tmp_path, str(tmp_path))
    assert found["pascal-5i"][0] == "not found"
    assert "data verify pascal-5i" in found["pascal-5i"][1]
    assert "is no folder" in told(monkeypatch, tmp_path, str(tmp_path / "absent"))["data roots"][0]


def test_what_is_scored_without_training_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when a benchmark without training images is called absent although its images are there."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    (id_, *_) = read_list("voc2012_seg_val_1449")
    for folder, ending, shape in (("JPEGImages", "jpg", (8, 8, 3)), ("SegmentationClass", "png", (8, 8))):
        path = tmp_path / "VOCdevkit" / "VOC2012" / folder / f"{id_}.{ending}"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.zeros(shape, np.uint8)).save(path)
    assert told(monkeypatch, tmp_path, str(tmp_path))["voc21"] == (
        "1 val images",
        "whole results (partial: --subset)",
    )

"""Reading and tabulating records needs no framework and no image decoder: a laptop or a login node can do it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("PIL", "cv2", "mmseg", "torch")


@pytest.mark.parametrize("module", ["results.store.record", "results.store.verify", "results.tables.tables"])
def test_records_load_without_frameworks(module: str) -> None:
    """Fails when an import reaches Pillow, OpenCV, mmsegmentation or torch, which take seconds or are not installed."""
    program = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

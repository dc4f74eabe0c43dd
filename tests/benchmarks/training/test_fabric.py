"""The device library without what its import pulls in."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")


def test_a_run_imports_no_torchmetrics() -> None:
    """Fails when every start of a run pays a second for a library that it does not use, or when that library cannot be
    imported after it any more.
    """
    pytest.importorskip("torchmetrics")
    code = (
        "import sys, results.launch.run.make\n"
        "assert 'torchmetrics' not in sys.modules, 'imported'\n"
        "import torchmetrics, lightning_fabric\n"
        "assert torchmetrics.__version__"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

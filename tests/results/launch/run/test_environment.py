"""Jobs compute with AVX2's vectors on every x86 CPU, so that CPUs of several kinds give the same records."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.choices import Precision

pytest.importorskip("torch")
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run import environment
from results.launch.run.job import Job
from results.launch.run.training import set_up
from results.store import machine

ALL = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user's shell is."""
    for name in ALL:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


@pytest.mark.skipif(not machine.has_avx2(), reason="no x86 CPU with AVX2")
def test_a_job_computes_with_avx2() -> None:
    """Fails when torch or NumPy take wider vectors in the process of a job than other x86 CPUs have."""
    code = (
        "import torch; from numpy._core._multiarray_umath import __cpu_features__ as on;"
        "print(torch.backends.cpu.get_cpu_capability(), on.get('AVX512_ICL', False), on.get('X86_V4', False))"
    )
    variables = os.environ | environment.job_variables(1)
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["AVX2", "False", "False"], done.stderr


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a user cannot have the CPU's own vectors."""
    monkeypatch.setattr(environment, "has_avx2", lambda: True)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx512")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
    environment.bound_onednn(half=False)
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "ALL"
    assert environment.job_variables(1)["ATEN_CPU_CAPABILITY"] == "avx512"
    assert environment.vectors("AVX512") == "AVX512 ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=ALL"


def test_other_cpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a CPU is told to use instructions that it does not have: torch would believe it, and crash."""
    monkeypatch.setattr(environment, "has_avx2", lambda: False)
    environment.bound_onednn(half=False)
    assert environment.vector_variables() == {}
    assert "ONEDNN_MAX_CPU_ISA" not in os.environ


@pytest.mark.parametrize(
    ("overrides", "precision", "bounded"),
    [(("recipe.precision=bf16-mixed",), "float32", False), ((), "bf16", False), ((), "float32", True)],
)
def test_half_precision_keeps_its_instructions(
    overrides: tuple[str, ...], precision: Precision, bounded: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails when oneDNN is kept from the CPU's bf16 products, which then take many times as long."""
    monkeypatch.setattr(environment, "has_avx2", lambda: True)
    (run,) = plan(Request(("zegclip",), ("shapes-5i",), folds=(0,), overrides=overrides, precision=precision))
    environment.bound_onednn(half=Job(run, tmp_path).half)
    assert ("ONEDNN_MAX_CPU_ISA" in os.environ) == bounded


@pytest.mark.usefixtures("torch_as_it_was")
@pytest.mark.parametrize("half", [False, True])
def test_what_sets_a_process_up_bounds_onednn(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when convolutions of a job take wider vectors than its other sums, or half precision is bounded."""
    monkeypatch.setattr(environment, "has_avx2", lambda: True)
    set_up("cpu", 1, half=half)
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") == (None if half else "AVX2")

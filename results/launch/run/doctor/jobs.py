"""Whole commands on the device, each in processes of its own: runs of every method, two ranks, the tests of a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch

from methods.registry import METHODS
from results.launch.run.doctor.sections import Bench, LeftOut, Row
from results.launch.run.environment import job_variables
from results.store.folders import find_records
from results.store.places import PROJECT
from results.store.record import RunRecord

SECONDS = 420
TESTS = (  # those that need a GPU, or pretend one
    "tests/benchmarks/training/test_acceleration.py",
    "tests/benchmarks/training/test_costs.py",
    "tests/methods/test_zegclip.py",
    "tests/methods/test_precision.py",
)
SAME = ("zegclip.prompt_dropout=0", "zegclip.decoder_dropout=0")  # what ranks would draw apart
BETWEEN_RANKS = 1e-3  # of losses: sums of two halves in another order, after some steps


def runs(bench: Bench) -> tuple[str, list[Row]]:
    """A few steps and images of each method of the comparison, from the command to the record."""
    names = [n for n, e in METHODS.items() if not e.group.startswith("ablation")]
    if bench.small:
        names = ["constant", "zegclip"]
    with tempfile.TemporaryDirectory() as folder:
        said = _harness(bench, folder, "--methods", *names, "--jobs", "2")
        found = {record.result.train.method: record for record in _records(folder)}
    rows = [_run(name, found.get(name)) for name in names]
    return f"on {bench.kind}: {said.strip().splitlines()[-1] if said.strip() else 'nothing said'}", rows


def _run(name: str, record: RunRecord | None) -> Row:
    if record is None:
        return {"method": name, "wrong": "no record"}
    scoring = record.provenance.scoring
    return {
        "method": name,
        "hIoU": record.result.own.hiou,
        "device": scoring.device,
        "not deterministic": ", ".join(scoring.nondeterministic),
        "peak_mib": record.costs.peak_memory_mib,
    }


def ranks(bench: Bench) -> tuple[str, list[Row]]:
    """One rank and two make the same losses, but for rounding; BatchNorm over both."""
    if not bench.small and torch.cuda.device_count() < 2:
        raise LeftOut(f"two ranks take two GPUs; torch sees {torch.cuda.device_count()}")
    curves = []
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            _harness(bench, folder, "--methods", "zegclip", "--set", *SAME, "--ranks", str(count))
            curves.append([point.total for record in _records(folder) for point in record.result.losses])
    if not curves[0] or len(curves[0]) != len(curves[1]):
        raise RuntimeError(f"{len(curves[0])} losses of one rank, {len(curves[1])} of two")
    apart = max(abs(a - b) / abs(a) for a, b in zip(*curves, strict=True))
    rows: list[Row] = [{"what": "losses of two ranks and of one", "apart": apart, "within": BETWEEN_RANKS}]
    rows[0]["wrong"] = "" if apart <= BETWEEN_RANKS else "too far apart"
    if not bench.small:  # torch's SyncBatchNorm is for GPUs alone
        with tempfile.TemporaryDirectory() as folder:
            options = ("--methods", "clip-to-seg", "--set", "clip-to-seg.body_batch_norm=sync", "--ranks", "2")
            _harness(bench, folder, *options)
            rows.append({"what": "SyncBN over two ranks", "wrong": "" if list(_records(folder)) else "no record"})
    return f"{'gloo' if bench.small else 'NCCL'}, two ranks", rows


def tests(bench: Bench) -> tuple[str, list[Row]]:
    """The tests that need a GPU; on a CPU they are only collected."""
    there = [name for name in TESTS if (PROJECT / name).is_file()]
    if not there or find_spec("pytest") is None:
        raise LeftOut("the tests are in the checkout, and pytest is of .[dev]: neither is installed here")
    asked = ["--collect-only", "-q"] if bench.small else ["-q"]
    done = _called([sys.executable, "-m", "pytest", *asked, *there])
    last = (done.stdout.strip().splitlines() or ["nothing said"])[-1]
    return last, [{"files": len(there), "wrong": "" if done.returncode == 0 else last}]


def targets(bench: Bench) -> tuple[str, list[Row]]:
    """A training step beside the released way (3x), an evaluation beside mmsegmentation's order (2x)."""
    if not (PROJECT / "tests" / "speed" / "gpu_targets.py").is_file():
        raise LeftOut("what it is measured beside is in the checkout (tests/speed)")
    done = _called([sys.executable, "-m", "tests.speed.gpu_targets", "--device", bench.kind])
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["failed"])[-1])
    rows = json.loads(done.stdout.strip().splitlines()[-1])
    return "ratios of wall time, in turns, equal outputs first; a target missed is no error", rows


def _harness(bench: Bench, folder: str, *options: str) -> str:
    """`run` on fold 0 of the built-in world; raises RuntimeError with its last word where it fails."""
    fixed = ("--benchmarks", "shapes-5i", "--folds", "0", "--limit", "4", "--device", bench.kind, "--runs", folder)
    done = _called([sys.executable, str(PROJECT / "harness.py"), "run", *fixed, *options])
    if done.returncode:
        raise RuntimeError(" | ".join(done.stderr.strip().splitlines()[-3:]) or f"exit code {done.returncode}")
    return done.stdout


def _called(command: list[str]) -> subprocess.CompletedProcess[str]:
    variables = os.environ | job_variables(1)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, cwd=PROJECT, env=variables, check=False
    )


def _records(folder: str) -> list[RunRecord]:
    return [record for record in find_records(Path(folder)) if isinstance(record, RunRecord)]

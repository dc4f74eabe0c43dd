"""`doctor --gpu`: everything that no machine without a GPU could try, in ten minutes; one JSON and one page."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.training import acceleration
from methods.check_subject import labels_of
from methods.precision import float32_products
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.doctor import jobs, page
from results.launch.run.doctor.agreement import agreement, subject
from results.launch.run.doctor.sections import Bench, Row, Section, section, words_of
from results.launch.run.doctor.throughput import hours, throughput
from results.launch.run.out_of_memory import memory_words
from results.launch.run.training import set_up
from results.store import machine, provenance
from results.store.files import write_atomically
from splits.errors import UserError

COMPILED = 1e-3  # relative, of a compiled loss
TOO_MUCH = 1 << 50  # bytes that no machine has


def checked(out: Path, *, device: str | None, say: Callable[[str], None]) -> int:
    """Check, write `gpu-check.json` and `gpu-check.md`; 1 where something is wrong.

    Raises UserError without a GPU, or with one that this torch cannot compute on (an old driver, an old card).
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise UserError("doctor --gpu: torch sees no GPU here; `python harness.py doctor` says what there is")
    bench = Bench(torch.device("cpu" if device == "cpu" else "cuda"))
    try:
        float(torch.ones(1, device=bench.device))
    except Exception as error:
        raise UserError(f"doctor --gpu: torch cannot compute on this GPU: {words_of(error)}") from None
    set_up(bench.kind, threads=1, half=True)  # small tensors: many threads would wait for one another
    began = time.perf_counter()
    made: list[Section] = []
    for name, work in parts(bench, made).items():
        made.append(done := section(name, work))
        bench.freed()
        say(f"{done.state:8} {done.seconds:6.1f} s  {name}: {done.said}")
    report = {"machine": about(bench), "seconds": round(time.perf_counter() - began, 1)}
    report["sections"] = [one.as_dict() for one in made]
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "gpu-check.json", (json.dumps(report, indent=1, default=str) + "\n").encode())
    write_atomically(out / "gpu-check.md", page.markdown(report).encode())
    say(f"written: {out / 'gpu-check.json'} and {out / 'gpu-check.md'}; send either")
    return int(any(one.state == "failed" for one in made))


def parts(bench: Bench, before: list[Section]) -> dict[str, Callable[[], tuple[str, list[Row]]]]:
    """Every part by its name, in order. before: those that are done, which the hours are reckoned from."""
    return {
        "agreement with the CPU": lambda: agreement(bench),
        "out of memory": lambda: out_of_memory(bench),
        "torch.compile": lambda: compiled(bench),
        "steps and memory": lambda: throughput(bench),
        "hours of the whole grid": lambda: hours(next(one.rows for one in before if one.name == "steps and memory")),
        "runs, from command to record": lambda: jobs.runs(bench),
        "two ranks": lambda: jobs.ranks(bench),
        "targets": lambda: jobs.targets(bench),
        "tests": lambda: jobs.tests(bench),
    }


def about(bench: Bench) -> dict[str, Any]:
    """The machine, and what it ran."""
    commit, dirty = provenance.git_state()
    gpu = bench.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(bench.device) if gpu else "cpu (a trial of the checks, no figure counts)",
        "devices": torch.cuda.device_count() if gpu else 0,
        "memory_gib": round(torch.cuda.get_device_properties(bench.device).total_memory / 2**30, 1) if gpu else None,
        "driver": machine.driver(),
        "cuda": torch.version.cuda or "",
        "processor": machine.processor(),
        "cores": os.cpu_count(),
        "load": machine.load(),
        "packages": provenance.package_versions(),
        "commit": commit,
        "dirty": dirty,
        "when": provenance.now(),
    }


def out_of_memory(bench: Bench) -> tuple[str, list[Row]]:
    """A lack of memory becomes one line that names `--accumulate`, and what comes after it runs."""
    (run,) = plan(Request(methods=("zegclip",), benchmarks=("shapes-5i",), folds=(0,)))
    try:
        torch.empty(TOO_MUCH, dtype=torch.uint8, device=bench.device)
    except (RuntimeError, MemoryError) as error:
        words = memory_words(error, run, trained=False)
    else:
        raise RuntimeError("a petabyte was given")
    works = float(torch.ones(8, device=bench.device).sum()) == 8
    lines = len(words.splitlines())
    wrong = "" if works and lines == 1 and "--accumulate" in words else "no line that says what to do"
    return words, [{"line": words, "goes on": works, "wrong": wrong}]


def compiled(bench: Bench) -> tuple[str, list[Row]]:
    """The losses of a compiled step are those of a plain one."""
    losses = []
    for backend in ("", "aot_eager" if bench.small else acceleration.BACKEND):
        of = subject("zegclip")
        method = of.build().to(bench.device).eval()  # no dropout: compiled code draws otherwise
        if backend:
            acceleration.compile_losses(method, backend)
        images, labels = of.pictures().to(bench.device), labels_of(of.masks()).to(bench.device)
        with float32_products():
            found = method.losses(images, labels, progress=0.5)
        losses.append({name: float(value.detach()) for name, value in found.items()})
    rows: list[Row] = [
        {"loss": name, "plain": value, "compiled": losses[1][name], "wrong": ""} for name, value in losses[0].items()
    ]
    for row in rows:
        if abs(row["compiled"] - row["plain"]) > COMPILED * abs(row["plain"]):
            row["wrong"] = f"further than {COMPILED:g} apart"
    return f"backend {backend}", rows

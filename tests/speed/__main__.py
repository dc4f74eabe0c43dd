"""Ours beside its peers, in one process: equal outputs first, then turns. Fails on no time.

    python -m tests.speed [--parts scoring pipeline step student waits commands growth] [--repeats 9]
        [--data-root DIR]

Ratios are of the least processor time: other work on the machine stretches wall time. Both are stored, with machine,
versions and commit, as JSON in tests/speed/results.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

import cv2
import torch

from results.store import machine, provenance
from tests.speed import command_times, pipeline, scoring, step, student_step, waits
from tests.speed.compare import Row

RESULTS = Path(__file__).parent / "results"
PARTS = ("scoring", "pipeline", "step", "student", "waits", "commands", "growth")


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data-root", type=Path, help="a folder with VOC in it (a subset will do), for the pipeline")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    of_machine = _machine(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        if found := _part(part, options):  # a part that was left out keeps what was measured before
            path = options.out / f"{part}.json"
            path.write_text(json.dumps({"machine": of_machine, part: found}, indent=1) + "\n")
            print(f"stored {path}", flush=True)


def _part(part: str, options: argparse.Namespace) -> Any:
    if part == "commands":
        return _commands(options.repeats)
    if part == "growth":
        return _growth(options.repeats)
    if part == "student":
        return student_step.shown(options.repeats)
    if part == "waits":
        return _waits()
    if part == "pipeline" and options.data_root is None:
        print("pipeline: left out, no --data-root")
        return []
    few = max(2, options.repeats // 3)  # of what takes seconds
    rows = {
        "scoring": lambda: scoring.rows(options.repeats),
        "pipeline": lambda: pipeline.rows(options.repeats, options.data_root),
        "step": lambda: step.rows(few),
    }[part]()
    return [_shown(row) for row in rows]


def _shown(row: Row) -> dict[str, Any]:
    reached = "" if row.target is None else f" (to reach: {row.target:g}x)"
    print(
        f"{row.what} | {row.peer} | ours {_ms(row.ours.processor)}, theirs {_ms(row.theirs.processor)} | "
        f"{row.ratio:.2f}x{reached}, wall {row.wall_ratio:.2f}x | {row.note}",
        flush=True,
    )
    return row.as_dict()


def _commands(repeats: int) -> list[dict[str, Any]]:
    found = []
    for taken in command_times.timings(max(3, repeats // 3)):
        each = "" if taken.runs is None else f", {_ms(taken.timing.processor / taken.runs)} a run"
        below = "" if taken.target is None else f" | below {taken.target:g} s"
        print(
            f"{taken.what} | {taken.timing.processor:.2f} s of a processor, {taken.timing.wall:.2f} s{each}, "
            f"{taken.peak_mib:.0f} MiB{below}",
            flush=True,
        )
        found.append(taken.as_dict())
    return found


def _waits() -> dict[str, list[dict[str, Any]]]:
    stored = {}
    for name, found in waits.table():
        stored[name] = [{"what": what, "where": where, "times": n} for (what, where), n in sorted(found.items())]
        places = ", ".join(f"{what} ({where}) {n}x" for (what, where), n in sorted(found.items()))
        print(f"a step of {name} on a GPU waits for: {places or 'nothing'}", flush=True)
    return stored


def _growth(repeats: int) -> dict[str, Any]:
    few = max(2, repeats // 3)
    found = {}
    for measured in (scoring.growth(few), command_times.growth(), step.growth(2)):
        for what, seconds in measured.items():
            found[what] = {"seconds": seconds, "exponent": _exponent(seconds)}
            points = ", ".join(f"{size}: {_ms(value)}" for size, value in seconds.items())
            print(f"{what}: exponent {found[what]['exponent']:.2f} ({points})", flush=True)
    return found


def _exponent(seconds: dict[int, float]) -> float:
    """The slope of log time against log size, from the middle of the sizes to the largest."""
    sizes = sorted(seconds)
    small, large = sizes[(len(sizes) - 1) // 2], sizes[-1]
    return math.log(seconds[large] / seconds[small]) / math.log(large / small)


def _machine(threads: int) -> dict[str, Any]:
    commit, dirty = provenance.git_state()
    return {
        "processor": machine.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": threads,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "python": platform.python_version(),
        "packages": provenance.package_versions(),
        "commit": commit,
        "dirty": dirty,
        "when": provenance.now(),
    }


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


if __name__ == "__main__":
    main()

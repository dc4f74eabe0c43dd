"""What there is: methods and benchmarks, for `list`."""

from __future__ import annotations

from tabulate import tabulate

from benchmarks.catalogue import BENCHMARKS, Benchmark, Data
from methods.registry import METHODS
from splits.errors import UserError


def list_methods(_: str | None) -> str:
    """Every method with what it is, what it needs of CLIP, and how faithful it is."""
    rows = [(name, e.title, e.needs, e.group, e.fidelity) for name, e in METHODS.items()]
    return tabulate(rows, headers=["method", "what it is", "needs of CLIP", "group", "fidelity"], tablefmt="github")


def list_benchmarks(data_root: str | None) -> str:
    """Every benchmark with its size and whether its data is there."""
    rows = []
    for bench in BENCHMARKS.values():
        split = bench.split
        unseen = sorted({len(fold.unseen) for fold in split.folds})
        rows.append(
            (bench.name, len(split.classes), len(split.folds), "/".join(map(str, unseen)), _found(bench, data_root))
        )
    return tabulate(rows, headers=["benchmark", "classes", "folds", "unseen a fold", "data"], tablefmt="github")


def _found(bench: Benchmark, data_root: str | None) -> str:
    if not bench.photos:
        return "drawn on the fly: " + ", ".join(
            f"{part} {len(Data().open(bench, part))}" for part in ("train", *bench.parts)
        )
    try:
        readers = {part: Data(data_root, subset=True).open(bench, part) for part in ("train", "val")}
    except UserError as error:
        return f"not found ({error})"
    return "found: " + ", ".join(
        f"{part} {len(reader)}{' (partial: use --subset)' if reader.partial else ''}"
        for part, reader in readers.items()
    )

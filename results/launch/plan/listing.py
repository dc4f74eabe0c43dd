"""The methods and benchmarks there are, as text tables."""

from __future__ import annotations

from shutil import get_terminal_size
from textwrap import fill

from tabulate import tabulate

from benchmarks.catalogue import BENCHMARKS, Benchmark, Data, eval_side, source, train_side
from benchmarks.data.datasets import data_roots, expected_images
from benchmarks.protocol import Protocol
from methods.method_entry import COMPARISON
from methods.registry import METHODS
from splits.errors import UserError


def list_methods() -> str:
    """Every method by group: what it is, what it needs of CLIP, how faithful it is; as wide as the terminal."""
    width, column = max(60, get_terminal_size((100, 24)).columns), max(map(len, METHODS)) + 4
    groups = dict.fromkeys(known.group for known in METHODS.values())
    return "\n\n".join(_group(group, width, column) for group in groups)


def _group(group: str, width: int, column: int) -> str:
    """A group under the word that `--methods` takes for it. column: where the text about a method begins."""
    lines = [f"--methods {'all' if group == COMPARISON else group}"]
    for name, known in METHODS.items():
        if known.group == group:
            text = f"{known.title} ({known.needs} of CLIP). {known.fidelity[:1].upper()}{known.fidelity[1:]}."
            lines.append(fill(text, width, initial_indent=f"  {name}".ljust(column), subsequent_indent=" " * column))
    return "\n".join(lines)


def list_clips() -> str:
    """Every model of open_clip with its image tower, what methods may need of it, and why others are refused."""
    from methods.clip.known_models import known_models  # brings torch, which the other lists need not load

    rows = [(m.name, m.tower, m.gives or "refused", m.reason) for m in known_models()]
    table = tabulate(rows, headers=["CLIP", "image tower", "gives", "why it is refused"], tablefmt="github")
    by_need = {need: ", ".join(n for n, e in METHODS.items() if e.needs == need) for need in ("tokens", "blocks")}
    lines = (
        f"tokens: for {by_need['tokens']}",
        f"blocks: for these and {by_need['blocks']}",
        "texts alone need no tower; weights of other tags (DFN, MetaCLIP, LAION) are of these models: --clip MODEL/TAG",
    )
    return "\n".join([table, "", *lines])


def list_benchmarks(data_root: str | None) -> str:
    """Every benchmark with its size and whether its data is there."""
    rows = []
    for bench in BENCHMARKS.values():
        split = bench.split
        unseen = sorted({len(fold.unseen) for fold in split.folds})
        rows.append(
            (
                bench.name,
                "/".join(map(str, sorted({len(fold.classes) for fold in split.folds}))),
                len(split.folds),
                "/".join(map(str, unseen)),
                _images(bench),
                _protocol(bench, data_root),
                _found(bench, data_root),
            )
        )
    headers = ["benchmark", "classes", "folds", "unseen a fold", "train / val images", "protocol", "data"]
    return tabulate(rows, headers=headers, tablefmt="github")


def _images(bench: Benchmark) -> str:
    if not bench.photos:
        return " / ".join(str(len(Data().open(bench, part))) for part in bench.split.parts)
    sizes = {part: str(expected_images(bench.split, part)) for part in bench.split.parts}
    return f"{sizes.get('train', 'none')} / {sizes['val']}"


def _protocol(bench: Benchmark, data_root: str | None) -> str:
    """The start of the family hash of the default protocol on whole data, where the list ships or the data is there."""
    try:
        train, val = (source(bench, part, Data(data_root)) for part in ("train", "val"))
    except UserError:
        return "told by the data"
    sides = train_side(bench, 0, train), eval_side(bench, 0, val, bench.inference)
    return Protocol(train=sides[0], evaluation=sides[1]).family[:12]


def _found(bench: Benchmark, data_root: str | None) -> str:
    if not bench.photos:
        return "drawn on the fly: " + ", ".join(
            f"{part} {len(Data().open(bench, part))}" for part in ("train", *bench.parts)
        )
    if not data_roots(data_root):
        return "no data root given"
    try:
        readers = {part: Data(data_root, subset=True).open(bench, part) for part in bench.split.parts}
    except UserError:
        return f"not found; `data verify {bench.name}` says what was looked for"
    return "found: " + ", ".join(
        f"{part} {len(reader)}{' (partial: use --subset)' if reader.partial else ''}"
        for part, reader in readers.items()
    )

"""Choices of a protocol that a benchmark has not: refused while planning, before data is looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.catalogue import Benchmark, benchmark
from results.launch.plan.request import LARGEST, Request
from splits.errors import UserError
from splits.pairs import read_pairs


def check_scoring(bench: Benchmark, choices: Mapping[str, Any]) -> None:
    """Raises UserError where masks have no background to score, or no episodic items are listed."""
    found = bench.split.background_id  # of shipped sets another than 0 is what nobody labelled
    if choices.get("background") == "class" and (found is None or (found != 0 and not bench.custom)):
        raise UserError(f"{bench.name}: its masks have no background to score; leave --background out")
    if choices.get("kind") == "episodic-binary":
        read_pairs(bench.split, 0)


def check_numbers(request: Request) -> None:
    """Raises UserError for a seed or a limit that is none; the command line has refused them already."""
    for what, value, least in (*(("a seed", seed, 0) for seed in request.seeds), ("a limit", request.limit, 1)):
        if value is not None and (type(value) is not int or not least <= value <= LARGEST):
            raise UserError(f"{what} of {value!r}: expected a whole number of at least {least}, below 2^63")


def check_year(names: Sequence[str], year: str) -> None:
    """Raises UserError where an edition is chosen and no benchmark has several."""
    if year and not any(benchmark(name).split.years for name in names):
        raise UserError(f"--year {year}: {', '.join(dict.fromkeys(names))} have one edition only; leave --year out")


def is_test(bench: Benchmark, part: str) -> bool:
    """Are results reported on this part? Nothing may be chosen on it unsaid."""
    return part == "val" and not bench.split.tuning

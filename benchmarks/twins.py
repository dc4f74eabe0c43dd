"""Benchmarks that are one under two names: voc-15-5 is fold 3 of pascal-5i. No torch.

Splits differ in the benchmark's name, its note and the fold's number. Specs differ in `benchmark` and `fold`: both
sides, the recipe, the config and the protocol hash are equal, and nothing that is drawn depends on either field.
"""

from __future__ import annotations

from typing import Final, TypeVar

from benchmarks.spec import EvalSpec, TrainSpec

TWINS: Final = {("voc-15-5", 0): ("pascal-5i", 3), ("pascal-5i", 3): ("voc-15-5", 0)}
S = TypeVar("S", TrainSpec, EvalSpec)


def twin_of(spec: S) -> S | None:
    """The same spec under the other name; None where there is none."""
    other = TWINS.get((spec.benchmark, spec.fold))
    return None if other is None else spec.model_copy(update={"benchmark": other[0], "fold": other[1]})


def either_digest(spec: S) -> str:
    """A digest that twins share: for counts of what was made once."""
    other = twin_of(spec)
    return spec.digest() if other is None else min(spec.digest(), other.digest())

"""VOC 15/5 and fold 3 of pascal-5i are one benchmark under two names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from benchmarks.catalogue import BENCHMARKS
from benchmarks.spec import protocol_of
from benchmarks.twins import TWINS, either_digest, twin_of
from methods.registry import METHODS
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.twins import twin
from splits.loader import load_split
from splits.pairs import read_pairs


@pytest.fixture(autouse=True)
def no_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)


def run(benchmark: str, fold: int, method: str = "zegclip", **changes: Any) -> Run:
    (found,) = plan(Request(methods=(method,), benchmarks=(benchmark,), folds=(fold,), **changes))
    return found


def differing(one: Any, other: Any) -> set[str]:
    """The fields in which two values of a dataclass differ."""
    return {field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)}


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": tuple(METHODS), "scale": "native"},
        {"methods": tuple(METHODS), "scale": "trial"},
        {"methods": ("zegclip", "otseg"), "setting": "transductive"},
        {"methods": ("zegclip", "clip"), "inference": (("kind", "episodic-binary"),)},
    ],
)
def test_a_twin_is_the_very_run_that_is_planned_there(changes: dict[str, Any]) -> None:
    """Fails when the two names come to differ in recipe, config or protocol for any method: then nothing is shared."""
    voc, pascal = (
        plan(Request(**changes, benchmarks=(name,), folds=(fold,)))
        for name, fold in (("voc-15-5", 0), ("pascal-5i", 3))
    )
    assert len(voc) == len(changes["methods"])
    for one, other in [*zip(voc, pascal, strict=True), *zip(pascal, voc, strict=True)]:
        found = twin(one)
        assert found is not None
        assert found.train.digest() == other.train.digest()
        assert found.evaluation.digest() == other.evaluation.digest()
        assert protocol_of(one.train, one.evaluation).hash == protocol_of(found.train, found.evaluation).hash
        assert twin_of(found.train) == one.train
        assert either_digest(found.train) == either_digest(one.train)


def test_what_specs_do_not_hold_is_the_same_too() -> None:
    """Fails when classes, mask values, image lists, items or sizes differ, which trainings and scorings look up."""
    for (name, fold), (other, there) in TWINS.items():
        splits = load_split(name), load_split(other)
        assert differing(*splits) == {"name", "folds", "note"}
        assert differing(splits[0].fold(fold), splits[1].fold(there)) == {"index"}
        assert differing(BENCHMARKS[name], BENCHMARKS[other]) == {"name"}
        assert all(read_pairs(splits[0], fold, part) == read_pairs(splits[1], there, part) for part in ("val", "trn"))


def test_others_have_no_twin() -> None:
    """Fails when a fold of other unseen classes, or weights from elsewhere, pass for the same training."""
    assert twin(run("pascal-5i", 2)) is None
    assert twin(run("voc-15-5", 0, weights="0" * 64)) is None
    voc = run("voc-15-5", 0)
    elsewhere = voc.evaluation.model_copy(update={"labelled": ()})
    assert twin(Run(voc.train, elsewhere)) is None

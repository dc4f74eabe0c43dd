"""The committed records are still those of the runs that planning gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from methods.registry import entry
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.settings import config_of
from results.store.folders import find_records
from results.store.record import RunRecord

RESULTS = Path(__file__).resolve().parents[4] / "results"


def planned_as(record: RunRecord) -> Run:
    """The run that a command with this record's method, place and settings plans."""
    train, scored = record.result.train, record.result.evaluation
    request = Request((train.method,), (train.benchmark,), folds=(train.fold,), seeds=(train.seed,), part=scored.part)
    request = replace(request, recipe="long" if train.recipe.name == "long" else "")
    (usual,) = plan(request)
    stored, default = (config_of(spec).model_dump(mode="json") for spec in (train, usual.train))
    fields = stored.keys() - entry(train.method).fixed.keys()
    changed = [f"{train.method}.{f}={json.dumps(stored[f])}" for f in sorted(fields) if stored[f] != default[f]]
    (run,) = plan(replace(request, overrides=tuple(changed)))
    return run


@pytest.mark.parametrize("folder", ["reference", "sensitivity"])
def test_every_stored_spec_is_planned_again_with_the_same_key(folder: str) -> None:
    """Fails when a recipe, a default or what a variant fixes changes, so that a stored run is not found any more."""
    records = [record for record in find_records(RESULTS / folder) if isinstance(record, RunRecord)]
    assert len(records) == len(list((RESULTS / folder).glob("**/record.json"))) > 0
    for record in records:
        result, run = record.result, planned_as(record)
        assert run.train.folder == result.train.folder
        assert run.evaluation.model_copy(update={"drawn": result.evaluation.drawn}).key == result.evaluation.key

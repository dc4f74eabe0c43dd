"""Settings given by hand that would change nothing: refused before anything is made. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.values import canonical_json
from methods.idle import idle_fields
from methods.registry import entry
from results.launch.plan.request import Request, Run
from results.launch.plan.settings import config_of
from splits.errors import UserError


def refuse_idle(request: Request, runs: Sequence[Run]) -> None:
    """Raise UserError for a `--set` that no run of its method would read.

    A sweep may hold such a setting beside values that switch it on; so may a reading, which is of the ablations too.
    """
    for override in request.overrides:
        owner, _, field = override.partition("=")[0].partition(".")
        # seeds and folds are configured alike
        specs = {canonical_json(run.train.config): run.train for run in runs if run.train.method == owner}
        found = [idle_fields(entry(owner).idle, config_of(spec)) for spec in specs.values()]
        if found and all(field in idle for idle in found):
            raise UserError(
                f"--set {override}: {field} changes nothing of {owner} with {found[0][field]}; leave it out"
            )

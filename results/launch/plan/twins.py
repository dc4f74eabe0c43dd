"""A run under the other name of its benchmark. No torch."""

from __future__ import annotations

from benchmarks.twins import twin_of
from results.launch.plan.request import Run


def twin(run: Run) -> Run | None:
    """The same training and scoring under the other name (`benchmarks.twins`); None where there is none.

    None as well for weights that are scored elsewhere, and for imported weights and predictions: nothing is trained.
    """
    train, evaluation = twin_of(run.train), twin_of(run.evaluation)
    if train is None or evaluation is None or run.train.weights or run.train.predictions or run.evaluation.transferred:
        return None
    return Run(train, evaluation)

"""One way to score images, for what stores a record and for what only returns its numbers."""

from __future__ import annotations

import torch

from benchmarks.catalogue import benchmark
from benchmarks.data.reader import Reader, Watch
from benchmarks.labels import evaluation_table
from benchmarks.scoring.evaluate import Evaluation, evaluate
from benchmarks.spec import EvalSpec
from methods.method import Method
from results.launch.run.build import asked_of


def scored_images(
    method: Method,
    name: str,
    scored: EvalSpec,
    reader: Reader,
    *,
    device: torch.device | str,
    watch: Watch = lambda done, total: None,
) -> Evaluation:
    """What a scoring of all classes counts on a reader's images. name: of the method.

    Raises UserError where its scores cannot be what this scoring asks for (`asked_of`).
    """
    split = benchmark(scored.benchmark).split
    vocabulary, decision = asked_of(scored, name)
    return evaluate(
        method.to(device),
        reader,
        vocabulary,
        scored.side.inference,
        evaluation_table(split, split.fold(scored.fold), background=scored.side.background),
        decision=decision,
        swept=bool(scored.side.unseen),
        background_below=scored.side.background_below,
        device=device,
        precision=scored.precision,
        watch=watch,
    )

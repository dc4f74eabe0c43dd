"""The table of every run: score, state, origin and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from results.store.record import Result, RunRecord
from results.tables.table import Column, Table


def run_table(records: Sequence[RunRecord], states: Mapping[str, str], stale: frozenset[str]) -> Table:
    """Every run with its score, state, origin and cost; those without a record with their state."""
    rows = [_run(record, stale) for record in records]
    rows += [{"run": folder, "state": words} for folder, words in sorted(states.items())]
    frame = pd.DataFrame(rows, columns=["run", "state", *_NUMBERS, *_TEXTS]).astype(dict.fromkeys(_NUMBERS, float))
    frame = frame.sort_values(["run", "started"], kind="stable", ignore_index=True)
    columns = [Column.text("run", "run"), Column.text("state", "state")]
    columns += [Column.figure(header, name, form) for name, (header, form) in _NUMBERS.items()]
    columns += [Column.text(header, name) for name, header in _TEXTS.items()]
    note = "hIoU, S and U at the method's own shift, in percent. Sources: start of the sha256 of the method's code."
    return Table("Every run", frame, tuple(columns), (note,), None, name="runs")


_NUMBERS = {
    "hiou": ("hIoU", ".2f"),
    "miou_seen": ("S", ".2f"),
    "miou_unseen": ("U", ".2f"),
    "train_seconds": ("training s", ".0f"),
    "eval_seconds": ("scoring s", ".1f"),
    "attempts": ("attempts", ".0f"),
}
_TEXTS = {
    "part": "part",
    "protocol": "protocol",
    "device": "device",
    "host": "host",
    "torch": "torch",
    "commit": "commit",
    "sources": "sources",
    "started": "started",
}


def _run(record: RunRecord, stale: frozenset[str]) -> dict[str, Any]:
    result, origin = record.result, record.provenance.scoring
    marks = ["partial"] * result.partial + ["stale"] * (result.train.folder in stale)
    marks += ["drawn setting"] * result.evaluation.drawn
    own = {name: getattr(result.own, name) for name in ("hiou", "miou_seen", "miou_unseen")}
    return {
        "run": f"{result.train.folder}{_elsewhere(result)}",
        "state": " ".join(["done", *marks]),
        **{name: math.nan if value is None else 100 * value for name, value in own.items()},
        "train_seconds": record.costs.train_seconds,
        "eval_seconds": record.costs.eval_seconds,
        "attempts": origin.attempts,
        "part": result.evaluation.part,
        "protocol": result.protocol_hash[:8],
        "device": origin.device,
        "host": origin.host,
        "torch": origin.packages.get("torch", ""),
        "commit": f"{origin.commit[:8]}{' + changes' if origin.dirty else ''}",
        "sources": record.provenance.sources_sha256[:8],
        "started": origin.started,
    }


def _elsewhere(result: Result) -> str:
    evaluation = result.evaluation
    return f" on {evaluation.benchmark} fold {evaluation.fold}" if evaluation.transferred else ""

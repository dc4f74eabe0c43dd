"""A model card in Markdown of finished weights: what was trained on what, and what the records beside it say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.spec import TrainSpec, clip_words
from methods.registry import METHODS
from results.store.folders import EVALS, RECORD, load_record, read_json
from results.store.record import RunRecord
from results.store.shareable import CLEAN
from results.store.staleness import why_stale
from results.tables.html import source
from splits.errors import UserError
from splits.packages import NAME


def model_card(card: Path) -> str:
    """The text of the card of a `model.json`. Raises UserError where the file is none."""
    from jinja2 import Environment, StrictUndefined

    content = _content(card)
    train = TrainSpec.parse(content["train"], source=f"{card}: train")
    known = METHODS.get(train.method)
    # Markdown, no HTML: nothing is to be escaped
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(source("model_card.md"))
    return (
        template.render(
            program=NAME,
            card=content,
            train=train,
            title=known.title if known else "a method of its own",
            fidelity=known.fidelity if known else "not known to the harness",
            seen=train.side.seen,
            unseen=[name for name in train.side.classes if name not in set(train.side.seen)],
            clip=clip_words(train.clip) or "none",
            phase=content.get("training"),
            changed=", ".join(_changes(train)),
            rows=[_row(record) for record in _records(card.parent)],
            shapes=train.benchmark == "shapes-5i",
        )
        + "\n"
    )


def _content(card: Path) -> dict[str, Any]:
    content = read_json(card)
    if not isinstance(content, dict) or not content.get("train") or "weights_sha256" not in content:
        raise UserError(f"{card}: expected the card of finished weights (model.json) with the training in it")
    return {"train_data_sha256": "", "sources_sha256": ""} | content


def _changes(train: TrainSpec) -> Iterator[str]:
    if train.limit is not None:
        yield f"at most {train.limit} images and iterations"
    if train.side.data.partial:
        yield "a part of the training images"


def _records(run: Path) -> list[RunRecord]:
    found = [load_record(path) for path in run.glob(f"{EVALS}/*/{RECORD}")]
    return sorted(
        found, key=lambda r: (r.result.evaluation.benchmark, r.result.evaluation.fold, r.result.protocol_hash)
    )


def _row(record: RunRecord) -> dict[str, Any]:
    result = record.result
    own = result.own
    return {
        "benchmark": result.evaluation.benchmark,
        "fold": result.evaluation.fold,
        **{name: _percent(getattr(own, field)) for name, field in _SCORES.items()},
        "protocol": result.protocol_hash[:12],
        "remarks": "; ".join(_remarks(record)).replace("|", "\\|"),
    }


def _remarks(record: RunRecord) -> Iterator[str]:
    """What stands against a row as a result, then what its reader must know."""
    result, asked = record.result, record.result.evaluation
    if why := why_stale(record):
        yield f"stale: {why} have changed since"
    if result.contamination not in CLEAN:
        yield f"contamination: {result.contamination}"
    if result.partial:
        yield "partial"
    if asked.part != "val":
        yield f"scored on the {asked.part} part, where constants are chosen: no result"
    if asked.tuned_on_test:
        yield "settings were compared on the scored images: no result"
    if asked.drawn:
        yield "a drawn setting: no result"
    if asked.precision != "float32":
        yield f"scored in {asked.precision}"
    yield from result.warnings


_SCORES = {"pacc": "pacc", "seen": "miou_seen", "unseen": "miou_unseen", "hiou": "hiou"}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"

"""Which records are of older files or sources than the newest record that names the same. By the records alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from benchmarks.shapes.body.files import KINDS
from benchmarks.values import digest
from methods.registry import METHODS
from results.store.record import RunRecord

SOURCES: Final = "the method's sources"
BODY: Final = "the body's weights"
DATA: Final = "the data"

Read = tuple[str, str, str, str, str]  # a run's folder; what it read; which, by name; its sha256; when


def outdated(every: Iterable[Read]) -> dict[str, str]:
    """Folders of the runs whose photos, masks, body weights or sources have changed since, each with which of them.

    every: what records were made with (`reads`). A later record has others of the same name then. Sources are compared
    for methods that are not known here: what is known has its sources here. Records that know no files (of drawn
    pictures, or made before files were identified) say nothing of others.
    """
    every = list(every)
    latest: dict[tuple[str, str, str], str] = {}  # what, which, the sha256 -> when it was last read
    for _, what, which, sha256, started in every:
        latest[what, which, sha256] = max(latest.get((what, which, sha256), ""), started)
    last: dict[tuple[str, str], str] = {}
    for (what, which, _), started in latest.items():
        last[what, which] = max(last.get((what, which), ""), started)
    newest: dict[tuple[str, str], set[str]] = {}  # several of one second: which came later is not known
    for (what, which, sha256), started in latest.items():
        if started == last[what, which]:
            newest.setdefault((what, which), set()).add(sha256)
    return {folder: what for folder, what, which, sha256, _ in every if newest[what, which] != {sha256}}


def reads(record: RunRecord) -> Iterator[Read]:
    """What a record was trained and scored with, where its sha256 is known."""
    result, train, scored = record.result, record.result.train, record.result.evaluation
    at_scoring = record.provenance.scoring.started
    at_training = record.provenance.training.started if record.provenance.training else at_scoring
    if sha256 := result.train_data_sha256:
        side, limit = train.side, train.limit
        images = [side.data.essence(), limit, side.training_images, train.fold if limit else None]
        yield train.folder, DATA, digest(images), sha256, at_training
    if sha256 := result.eval_data_sha256:
        items = [scored.side.data.essence(), scored.limit, scored.side.kind]
        yield train.folder, DATA, digest(items), sha256, at_scoring
    if (sha256 := result.body_sha256) and (named := train.config.get("body_weights")):
        own = [train.config.get("body"), train.benchmark, train.fold] if named in KINDS else []  # one file for each
        yield train.folder, BODY, digest([named, *own]), sha256, at_training
    if (sha256 := record.provenance.sources_sha256) and train.method not in METHODS:
        yield train.folder, SOURCES, train.method, sha256, at_training

"""Which records were made of other files than the newest record of the same images. By the records alone."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.values import digest
from results.store.record import RunRecord


def of_older_data(records: Iterable[RunRecord]) -> frozenset[str]:
    """Folders of the runs whose photos or masks have changed since: a later record has other files of these images.

    Records that know no files (of drawn pictures, or made before files were identified) say nothing of others.
    """
    read = [(record, key, sha256) for record in records for key, sha256 in _read(record)]
    latest: dict[tuple[str, str], str] = {}  # which images, the sha256 of their files -> when they were last scored
    for record, key, sha256 in read:
        latest[key, sha256] = max(latest.get((key, sha256), ""), record.provenance.scoring.started)
    newest: dict[str, set[str]] = {}  # several of one second: which came later is not known
    for key in {key for key, _ in latest}:
        last = max(started for (other, _), started in latest.items() if other == key)
        newest[key] = {sha256 for (other, sha256), started in latest.items() if other == key and started == last}
    return frozenset(record.result.train.folder for record, key, sha256 in read if newest[key] != {sha256})


def _read(record: RunRecord) -> list[tuple[str, str]]:
    """What a record was trained and scored on: which images, and the sha256 of their files where it is known."""
    train, scored = record.result.train, record.result.evaluation
    which = (
        [train.side.data.essence(), train.limit, train.side.training_images, train.fold if train.limit else None],
        [scored.side.data.essence(), scored.limit, scored.side.kind],
    )
    shas = (record.result.train_data_sha256, record.result.eval_data_sha256)
    return [(digest(images), sha256) for images, sha256 in zip(which, shas, strict=True) if sha256]

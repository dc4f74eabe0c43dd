"""Which records were made of other files than the newest record of the same images. By the records alone."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.values import digest
from results.store.record import RunRecord


def of_older_data(records: Iterable[RunRecord]) -> frozenset[str]:
    """Folders of the runs whose photos or masks have changed since: a later record has other files of these images.

    Records that know no files (of drawn pictures, or made before files were identified) say nothing of others.
    """
    newest: dict[str, tuple[str, str]] = {}  # which images -> when scored, the sha256 of their files
    read = [(record, key, sha256) for record in records for key, sha256 in _read(record)]
    for record, key, sha256 in read:
        newest[key] = max(newest.get(key, ("", "")), (record.provenance.scoring.started, sha256))
    return frozenset(record.result.train.folder for record, key, sha256 in read if sha256 != newest[key][1])


def _read(record: RunRecord) -> list[tuple[str, str]]:
    """What a record was trained and scored on: which images, and the sha256 of their files where it is known."""
    train, scored = record.result.train, record.result.evaluation
    which = (
        [train.side.data.essence(), train.limit, train.side.training_images, train.fold if train.limit else None],
        [scored.side.data.essence(), scored.limit, scored.side.kind],
    )
    shas = (record.result.train_data_sha256, record.result.eval_data_sha256)
    return [(digest(images), sha256) for images, sha256 in zip(which, shas, strict=True) if sha256]

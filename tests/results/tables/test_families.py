"""Families of verdicts from what lies on the disk: how often it is read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from results.store.folders import Stored, find_stored
from results.store.record import RunRecord
from results.tables.classes_and_costs import by_variant
from results.tables.content import gather
from results.tables.families import family_of, reader
from results.tables.row_names import names_of
from tests.results.factory import store


@pytest.mark.usefixtures("toy")
def test_the_counts_of_a_run_are_read_once(tmp_path: Path) -> None:
    """Fails when asking which folds and seeds two rows share reads every run's counts, pair by pair."""
    for method in ("zeta", "alpha", "epsilon"):
        for fold in (0, 1):
            for seed in (0, 1):
                store(tmp_path, method=method, fold=fold, seed=seed)
    found = [one for one in find_stored(tmp_path) if isinstance(one, Stored)]
    paths = {one.record.result.confusion_sha256: one.confusion for one in found}
    read: Counter[str] = Counter()

    def locate(record: RunRecord) -> Path:
        read[record.result.confusion_sha256] += 1
        return paths[record.result.confusion_sha256]

    (content,) = gather([one.record for one in found], {})
    family = family_of(content, by_variant(content.records, names_of(content)), reader(locate))
    assert len(family.rows) == 3
    assert read == dict.fromkeys(paths, 1)
    assert len(paths) == 12

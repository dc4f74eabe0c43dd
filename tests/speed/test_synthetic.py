"""The records that speed is measured on are what runs write: consistent, and all of them different."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from results.store.confusion import ARRAYS, counted
from results.store.folders import Stored, find_stored
from results.store.quick_check import doubt
from results.store.verify import problems
from tests.speed.synthetic import write


def test_synthetic_records_are_sound_and_different(tmp_path: Path) -> None:
    """Fails if a made record would be refused, or two of them could be taken for one and drawn once."""
    assert write(tmp_path, 6, methods=("zegclip", "clip")) == 6
    write(tmp_path, 9, methods=("zegclip",))
    found = list(find_stored(tmp_path))
    stored = [item for item in found if isinstance(item, Stored)]
    assert len(stored) == len(found) > 8
    assert list(problems(found)) == []
    assert [doubt(item) for item in stored] == [""] * len(stored)
    assert len({item.record.result.confusion_sha256 for item in stored}) == len(stored)
    zegclip = [item for item in stored if item.record.result.train.method == "zegclip"]
    folds = {item.record.result.evaluation.fold for item in zegclip}
    for fold in folds:
        same = [item for item in zegclip if item.record.result.evaluation.fold == fold]
        truths = [counted(item.confusion, ARRAYS)["matrices"].sum(axis=2) for item in same]
        assert all(np.array_equal(truths[0], truth) for truth in truths)
        assert len({item.record.result.own.hiou for item in same}) == len(same)

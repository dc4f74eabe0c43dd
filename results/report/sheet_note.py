"""What stands beside a sheet of predictions: how its images were chosen, and which weights predicted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from results.store.record import RunRecord

_RUNS = "Runs: "
_SHORT = 12  # letters of a hash
_UNTRAINED = "nothing trained"


def sheet_note(rule: str, weights: Mapping[str, str]) -> str:
    """The text of a sheet. weights: folder of each run -> sha256 of its weights, empty where nothing was trained."""
    made = ", ".join(f"{run} ({f'weights {of[:_SHORT]}' if of else _UNTRAINED})" for run, of in weights.items())
    return f"{rule}\n{_RUNS}{made}.\n"


def sheet_doubts(note: str, records: Iterable[RunRecord], stale: frozenset[str]) -> str:
    """What a reader of a page must know of a sheet on it; empty where its runs are those of the page's records."""
    runs = dict(re.findall(r"(\S+/fold\d+-seed\d+-\w+) \((?:weights (\w+)|" + _UNTRAINED + r")\)", note))
    if not runs:
        return "The runs of this sheet are not known."
    there = {record.result.train.folder: record.result.weights_sha256 for record in records}
    kinds = {
        "not among the records of this page": [run for run in runs if run not in there],
        "made again since, with other weights": [
            run for run, of in runs.items() if of and run in there and not there[run].startswith(of)
        ],
        "stale": [run for run in runs if run in stale],
    }
    return " ".join(f"{', '.join(which)}: {words}." for words, which in kinds.items() if which)

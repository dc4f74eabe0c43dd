"""May stored records go into a shared table? One line for each thing that stands against it. Imports no torch.

Beside what `verify` recomputes, a shared table asks for whole grids and for a provenance that somebody else can follow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.catalogue import BENCHMARKS, benchmark
from results.store.folders import CorruptRecord, Stored
from results.store.identity import row_key
from results.store.record import RunRecord
from results.store.staleness import changed_since
from results.store.verify import problems

CLEAN = ("", "none")  # of contamination: trained where it is scored, or nothing overlaps


def refusals(found: Sequence[Stored | CorruptRecord]) -> Iterator[str]:
    """A line for each reason; none where everything may go into the table."""
    yield from problems(found)
    sound = [item for item in found if isinstance(item, Stored)]
    changed = changed_since(item.record for item in sound)
    for item in sound:
        yield from (f"{item.path}: {reason}" for reason in _of_record(item.record))
        if what := changed.get(item.record.result.train.folder):
            yield f"{item.path}: stale: {what} have changed since; `run --stale` makes it again"
    yield from _holes([item.record for item in sound])


def _of_record(record: RunRecord) -> Iterator[str]:
    result, provenance = record.result, record.provenance
    if result.partial:
        yield "made from or scored on part of the data (--limit or --subset)"
    if result.evaluation.part != "val":
        yield f"scored on the {result.evaluation.part} part; a table of results holds val alone"
    if result.evaluation.tuned_on_test or result.evaluation.drawn:
        yield "of a sweep that saw the test images, or of a drawn setting"
    if result.contamination not in CLEAN:
        yield f"contamination: {result.contamination}"
    known = BENCHMARKS.get(result.evaluation.benchmark)
    if known is None or known.custom:
        yield f"{result.evaluation.benchmark} is a data set of your own; nobody else can score on it"
    imported = bool(result.train.predictions)
    if imported:
        return  # what made imported predictions is not known here
    for name, phase in (("training", provenance.training), ("scoring", provenance.scoring)):
        if phase is None:
            continue
        if not phase.commit:
            yield f"the commit of the {name} is not known: it ran outside a checkout"
        elif phase.dirty:
            yield f"the {name} ran with changed files on top of commit {phase.commit[:12]}"
    if result.train.recipe.iterations and provenance.training is None:
        yield "where and with what it was trained was not kept"


def _holes(records: Sequence[RunRecord]) -> Iterator[str]:
    """Rows that lack a fold of some seed; of folds alone no mean is a result."""
    there: dict[tuple[str, ...], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    names: dict[tuple[str, ...], tuple[str, str]] = {}
    for record in records:
        key = tuple(map(str, row_key(record)))
        there[key][record.result.train.seed].add(record.result.evaluation.fold)
        names[key] = (record.result.evaluation.benchmark, record.result.label)
    for key, seeds in there.items():
        name, label = names[key]
        if name not in BENCHMARKS:
            continue
        folds = {fold.index for fold in benchmark(name).split.folds}
        for seed, seen in sorted(seeds.items()):
            if lacking := sorted(folds - seen):
                yield f"{label} on {name}, seed {seed}: fold {', '.join(map(str, lacking))} is missing"

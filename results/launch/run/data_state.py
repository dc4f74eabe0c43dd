"""The files that runs read, as they are now: what identifies them, what forbids numbers, what their readers must know.

Every command that reads data goes through `DataStates`. What is found is compared with what a record, a card or a
checkpoint was made of: a run of other files is stale, as one of other sources is. Imports no torch, and what decodes
pictures only where there are some.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.catalogue import Data, benchmark
from benchmarks.data.parallel import cores
from benchmarks.prompts import check_names
from benchmarks.spec import EvalSpec, TrainSpec
from results.launch.plan.request import Run
from splits.errors import DataError

if TYPE_CHECKING:
    from benchmarks.data.reader import Reader
    from benchmarks.data.verify import Report

SHOWN: Final = 3  # problems named in one message
MANY_FILES: Final = 2000  # more that are not known are not read only to print states


@dataclass(frozen=True)
class DataState:
    """What a run would read now."""

    train_sha256: str = ""  # empty where it reads no files for it, or where they are not looked at
    eval_sha256: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def refuse(self, name: str) -> None:
        """Raises DataError where no number may be made of these files."""
        if self.problems:
            more = len(self.problems) - SHOWN
            rest = f"; and {more} more: `data verify {name}` names all" if more > 0 else ""
            raise DataError(f"{'; '.join(self.problems[:SHOWN])}{rest}")


@dataclass(frozen=True)
class _Key:
    """The images that are read of a part."""

    benchmark: str
    part: str
    limit: int | None
    unlearned: tuple[int, ...] | None  # ids without which the first ones are taken


@dataclass
class DataStates:
    """The data of many runs; each part is surveyed once.

    train: training reads files too; False where finished weights are scored. look_only: states are printed, so that
    official sets of which many files are not known yet are passed over. jobs: processes that read.
    """

    data: Data
    train: bool = True
    look_only: bool = False
    custom_only: bool = False  # shipped benchmarks are surveyed elsewhere: by the jobs of a cluster
    jobs: int = field(default_factory=cores)
    _reports: dict[_Key, Report | None] = field(default_factory=dict)
    _states: dict[Any, DataState] = field(default_factory=dict)

    def of(self, run: Run) -> DataState:
        """The state of one run's data; that it is not there is one of its problems."""
        train, scored = run.train, run.evaluation
        trains = self.train and bool(train.recipe.iterations) and not (train.weights or train.predictions)
        unlearned = _unlearned(train) if train.side.training_images == "drop" and train.limit else None
        limit = None if scored.side.kind == "episodic-binary" else scored.limit  # there it counts items
        keys = (
            _Key(train.benchmark, "train", train.limit, unlearned) if trains else None,
            _Key(scored.benchmark, scored.part, limit, None),
        )
        if (found := self._states.get((keys, scored.side.queries))) is None:
            found = self._states[keys, scored.side.queries] = self._state(keys, scored)
        return found

    def _state(self, keys: tuple[_Key | None, _Key], scored: EvalSpec) -> DataState:
        train, val = (None if key is None else self._report(key) for key in keys)
        reports = [report for report in (train, val) if report is not None]
        if not reports:
            return DataState()
        from benchmarks.data.verify import across

        split = benchmark(scored.benchmark).split
        same = [train] if keys[0] is not None and keys[0].benchmark == scored.benchmark else []
        surveys = [report.survey for report in (*same, val) if report is not None and report.survey is not None]
        common, queries = across(split, surveys), scored.side.queries
        names = check_names(queries.texts, queries.templates, split.name) if split.custom_lists else ()
        return DataState(
            train_sha256=_sha256(train),
            eval_sha256=_sha256(val),
            problems=(*common.problems, *(line for report in reports for line in report.problems)),
            warnings=(
                *common.warnings,
                *common.notes,
                *names,
                *(line for report in reports for line in _summed_up(report)),
            ),
        )

    def _report(self, key: _Key) -> Report | None:
        if key not in self._reports:
            self._reports[key] = self._looked(key)
        return self._reports[key]

    def _looked(self, key: _Key) -> Report | None:
        bench = benchmark(key.benchmark)
        if not bench.photos or (self.custom_only and not bench.custom):
            return None
        from benchmarks.data.survey import unread
        from benchmarks.data.verify import Report, checked
        from benchmarks.data.whole_sets import progress_bar

        try:
            reader = self.data.open(bench, key.part)
            with progress_bar(f"{key.benchmark} {key.part}") as watch:
                reader.prepare(watch, jobs=self.jobs)
                reader = _first(reader, key)
                if self.look_only and not bench.custom and unread(reader) > MANY_FILES:
                    print(f"note: the {key.part} files of {bench.name} are not known: `data verify`", file=sys.stderr)
                    return None
                return checked(bench.split, key.part, reader, jobs=self.jobs, watch=watch)
        except DataError as error:
            return Report(key.part, 0, problems=[str(error)])


def changed(state: DataState, train_sha256: str, eval_sha256: str) -> bool:
    """Are the files others than those of a record? Where one of both is not known, nothing is said."""
    pairs = ((state.train_sha256, train_sha256), (state.eval_sha256, eval_sha256))
    return any(now and then and now != then for now, then in pairs)


def _first(reader: Reader, key: _Key) -> Reader:
    """What of a reader is read: all of it, or as much as a trial run takes."""
    from benchmarks.data.limited import Limited, Without

    if key.limit is None:
        return reader
    return Limited(reader, key.limit) if key.unlearned is None else Without(reader, key.unlearned, limit=key.limit)


def _unlearned(spec: TrainSpec) -> tuple[int, ...]:
    """The mask values of the classes without labels in a training."""
    split = benchmark(spec.benchmark).split
    seen = split.fold(spec.fold).seen
    return tuple(id_ for name, id_ in zip(split.classes, split.ids, strict=True) if name not in seen)


def _sha256(report: Report | None) -> str:
    return "" if report is None or report.survey is None else report.survey.sha256


def _summed_up(report: Report) -> list[str]:
    """At most so many lines for a record, which is no list of files, and no folder of this machine in them."""
    root = "" if report.survey is None else f"{report.survey.reader.part.root}/"
    more = len(report.warnings) - SHOWN
    lines = [line.replace(root, "") if root else line for line in report.warnings[:SHOWN]]
    return [*lines, *([f"{report.part}: {more} more warnings; `data verify` names all"] if more > 0 else [])]

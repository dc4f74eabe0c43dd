"""`python -m results.tuning [DIR ...]`: runs on the tune part into the table of trials, and the means of that.

A trial is a run of the harness, made by a command of docs/tuning.md. Rows of runs that lie nowhere any more stay.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.values import canonical_json
from methods.registry import METHODS, config_class
from results.store.files import write_atomically
from results.store.folders import CorruptRecord, find_records
from results.store.record import RunRecord
from splits.errors import UserError

TRIALS = Path(__file__).parent / "trials.csv"
TUNE = "tune"
KEY = ["run", "evaluation"]
SETTING = ["benchmark", "method", "iterations", "settings"]  # trials that share it differ in fold and seed alone
SCORES = ["miou_seen", "miou_unseen", "hiou", "hiou_unshifted", "hiou_best"]


def row(record: RunRecord) -> dict[str, object]:
    """What the table keeps of a run; scores in percent. Raises UserError for one that saw a test image."""
    result, train = record.result, record.result.train
    if result.evaluation.part != TUNE or result.partial:
        raise UserError(
            f"{train.folder}: scored on the {result.evaluation.part} part; a trial is a whole run on {TUNE}"
        )
    scores = (result.own.miou_seen, result.own.miou_unseen, result.own.hiou, result.unshifted.hiou, result.best.hiou)
    return {
        "benchmark": train.benchmark,
        "method": train.method,
        "iterations": train.recipe.iterations,
        "settings": canonical_json(train.config),
        "fold": train.fold,
        "seed": train.seed,
        **dict(zip(SCORES, (None if s is None else round(100 * s, 3) for s in scores), strict=True)),
        "own_shift": result.own.shift,
        "best_shift": result.best.shift,
        "recipe": canonical_json(train.recipe.essence()),
        "body_sha256": result.body_sha256[:12],
        "sources_sha256": record.provenance.sources_sha256[:12],
        "run": train.folder,
        "evaluation": result.evaluation.key,
    }


def joined(known: pd.DataFrame, found: Iterable[RunRecord]) -> pd.DataFrame:
    """The table with these runs in it, each once, the newer record of a run in place of the older."""
    new = pd.DataFrame([row(record) for record in found])
    both = pd.concat([known, new], ignore_index=True).drop_duplicates(KEY, keep="last")
    return both.sort_values([*SETTING, "seed", "fold", "run"], kind="stable", ignore_index=True)


def means(trials: pd.DataFrame) -> pd.DataFrame:
    """A row per setting: means over its runs, how many there are, hIoU of each fold, and the standard error of hIoU.

    The error is that of the mean over seeds of the fold means, of seeds with every fold; NaN with one of them.
    """
    rows = []
    for setting, runs in trials.groupby(SETTING, dropna=False, sort=True):
        of_seed = runs.groupby("seed")["hiou"].mean()[runs.groupby("seed").size() == runs["fold"].nunique()]
        folds = {f"fold {fold}": value for fold, value in runs.groupby("fold")["hiou"].mean().items()}
        scores = {name: runs[name].mean() for name in SCORES}
        error = {"se": of_seed.std(ddof=1) / len(of_seed) ** 0.5}
        rows.append(dict(zip(SETTING, setting, strict=True)) | scores | error | folds | {"runs": len(runs)})
    return pd.DataFrame(rows)


def briefly(table: pd.DataFrame) -> pd.DataFrame:
    """The settings of each row without those that most runs of its method have: what is left out is none the less set.

    A field that a row does not name has its default there.
    """
    told = [json.loads(text) for text in table["settings"]]
    own: list[list[str]] = [[] for _ in told]
    for method, rows in table.groupby("method").indices.items():
        known = str(method) in METHODS  # a method of a file is not, when it is read later
        defaults = config_class(str(method))().model_dump(mode="json") if known else {}
        for name in dict.fromkeys(name for row in rows for name in told[row]):
            values = {row: f"{name}={canonical_json(told[row].get(name, defaults.get(name)))}" for row in rows}
            runs: Counter[str] = Counter()
            for row, value in values.items():
                runs[value] += int(table["runs"].iloc[row])
            usual = max(sorted(runs), key=lambda value: runs[value])
            for row, value in values.items():
                own[row] += [value] * (value != usual)
    return table.assign(settings=[" ".join(sorted(words)) for words in own])


def as_markdown(trials: pd.DataFrame) -> str:
    """The means as Markdown."""
    return briefly(means(trials)).drop(columns="benchmark").to_markdown(index=False, floatfmt=".1f", tablefmt="github")


def main(roots: Sequence[str]) -> None:
    """Take in the runs below these folders, then print the means."""
    trials = pd.read_csv(TRIALS) if TRIALS.is_file() else pd.DataFrame()
    if roots:
        found = [record for root in roots for record in find_records(Path(root))]
        for broken in (record for record in found if isinstance(record, CorruptRecord)):
            print(f"left out: {broken}", file=sys.stderr)
        records = [record for record in found if isinstance(record, RunRecord)]
        of_tune = [record for record in records if record.result.evaluation.part == TUNE]
        if others := len(records) - len(of_tune):
            print(f"left out: {others} records that are not of the {TUNE} part", file=sys.stderr)
        trials = joined(trials, of_tune)
        write_atomically(TRIALS, trials.to_csv(index=False, lineterminator="\n").encode())
    print(as_markdown(trials))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The export holds every field, and earlier schemas come to today's."""

from __future__ import annotations

import csv
import json

import pandas as pd
import pytest

from results.store.folders import unfinished
from results.tables.export import export, flat
from splits.errors import UserError
from tests.results.factory import record, specs, store


def leaves(value, prefix=""):
    for key, item in value.items():
        yield from leaves(item, f"{prefix}{key}.") if isinstance(item, dict) and item else [(f"{prefix}{key}", item)]


def test_every_field_is_there(tmp_path):
    """Fails if a field of a record is in no column, or its number is another."""
    made = record(config={"k": 3})
    assert export([made, record(fold=1)], tmp_path / "all.csv") == 2
    with open(tmp_path / "all.csv", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    for name, value in leaves(made.model_dump(mode="json")):
        column = next(c for c in (name, name.rpartition(".")[0]) if c in row)
        if isinstance(value, float):
            assert float(row[column]) == value
        elif not isinstance(value, dict | list) and column == name:
            assert row[column] == ("" if value is None else str(value))
    assert json.loads(row["result.train.config"]) == {"k": 3}
    assert len(json.loads(row["result.classes"])) == 4


def test_the_order_of_records_does_not_show(tmp_path):
    """Fails if two exports of the same records differ."""
    records = [record(fold=fold, seed=seed) for fold in (0, 1) for seed in (0, 1)]
    export(records, tmp_path / "a.csv")
    export(records[::-1], tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_parquet(tmp_path):
    """Fails if parquet loses a column or a number."""
    pytest.importorskip("pyarrow")
    export([record()], tmp_path / "all.parquet")
    frame = pd.read_parquet(tmp_path / "all.parquet")
    assert set(frame.columns) == {*flat(record()), "run", "stale"}
    assert frame["result.own.hiou"][0] == record().result.own.hiou


def test_another_ending_is_refused(tmp_path):
    """Fails if a person gets a file of another kind than its name says."""
    with pytest.raises(UserError, match=r"\.csv or \.parquet"):
        export([record()], tmp_path / "all.xlsx")


def test_unfinished_runs(tmp_path):
    """Fails if a run without a record is not told, its reason is lost, or a finished one is told too."""
    store(tmp_path, fold=1)
    for seed, word in enumerate([{"state": "failed", "reason": "no memory"}, {"state": "running"}, None]):
        folder = tmp_path / specs(seed=seed)[0].folder
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text("{}")
        if word:
            (folder / "state.json").write_text(json.dumps(word))
    assert list(unfinished(tmp_path).values()).count("failed: no memory") == 1
    assert sorted(unfinished(tmp_path).values()) == [
        "failed: no memory",
        "interrupted: its process ended without a word",
        "planned",
    ]


def test_stale_runs_have_a_column(tmp_path):
    """Fails if the table of every field holds runs of older sources or data like any other."""
    old, new = record(seed=0), record(seed=1)
    export([old, new], tmp_path / "all.csv", frozenset({old.result.train.folder}))
    with open(tmp_path / "all.csv", encoding="utf-8") as file:
        assert {row["result.train.seed"]: row["stale"] for row in csv.DictReader(file)} == {"0": "True", "1": "False"}

"""Tidy tables: every number is that of the record or its counts, and every column is explained."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import harness
from results.store.files import DRAFT
from results.store.folders import Stored, find_stored
from results.tables import data_dictionary
from results.tables.data_dictionary import DICTIONARY, TABLES, columns_of
from results.tables.export_tables import FORMATS, export_tables
from results.tables.long_data import OF_SHIFTS
from splits.errors import UserError
from tests.results import factory
from tests.results.factory import store

PROJECT = Path(__file__).resolve().parents[3]


def exported(root: Path, to: Path, **options) -> dict[str, pd.DataFrame]:
    found = [one for one in find_stored(root) if isinstance(one, Stored)]
    counts = export_tables(found, frozenset(), to, **options)
    frames = {table: pd.read_csv(to / f"{table}.csv", keep_default_na=False, na_values=[""]) for table in TABLES}
    assert {table: len(frame) for table, frame in frames.items()} == counts
    return frames


def test_numbers_are_those_of_records_and_counts(tmp_path: Path) -> None:
    """Fails if a number, a class or a join is another than stored."""
    made = {fold: store(tmp_path / "runs", fold=fold)[1] for fold in (1, 0)}
    frames = exported(tmp_path / "runs", tmp_path / "out")
    for number, fold in enumerate((0, 1)):
        result, counts = made[fold].result, factory.counts(made[fold].result.train)
        (row,) = frames["runs"][frames["runs"]["record"] == number].to_dict("records")
        assert (row["fold"], row["hiou"], row["run"]) == (fold, result.own.hiou, result.train.folder)
        assert row["fb_iou"] != row["fb_iou"]
        classes = frames["classes"][frames["classes"]["record"] == number]
        assert classes["iou"].tolist() == [c.iou for c in result.classes]
        assert classes["tp"].tolist() == np.diag(counts["matrices"][1]).tolist()
        sweep = frames["sweeps"][frames["sweeps"]["record"] == number]
        assert sweep["shift"].tolist() == [-0.1, 0.0, 0.2]
        assert sweep["own"].tolist() == [False, True, False]
        assert sweep["hiou"].tolist()[1] == pytest.approx(result.own.hiou, abs=1e-12)
        assert sweep["pacc"].tolist()[1] == pytest.approx(result.own.pacc, abs=1e-12)
        images = frames["images"][frames["images"]["record"] == number]
        pairs = images.groupby(["truth", "prediction"])["pixels"].sum()
        for i, truth in enumerate(factory.CLASSES):
            for j, said in enumerate(factory.CLASSES):
                assert pairs[truth, said] == counts["matrices"][1][i, j]
        assert images["image"].max() == 3


def test_predictions_without_scores_have_no_other_shift(tmp_path: Path) -> None:
    """Fails if the hIoU of imported maps stands as that without a shift, or at the best one, which nobody knows."""
    _, made = store(tmp_path / "runs", predictions="f" * 64)
    store(tmp_path / "runs", method="zeta")
    (imported, own) = exported(tmp_path / "runs", tmp_path / "out")["runs"].sort_values("method").to_dict("records")
    assert imported["hiou"] == made.result.own.hiou
    assert all(math.isnan(imported[name]) for name in OF_SHIFTS)
    assert not any(math.isnan(own[name]) for name in OF_SHIFTS)
    frame = harness.records(tmp_path / "runs").set_index("method")
    assert frame.loc["alpha", list(OF_SHIFTS)].isna().all()
    assert frame.loc["zeta", list(OF_SHIFTS)].notna().all()


def test_both_formats_hold_the_same(tmp_path: Path) -> None:
    """Fails if parquet holds other rows, names or kinds than the dictionary says, or than the CSV."""
    pytest.importorskip("pyarrow")
    store(tmp_path / "runs")
    frames = exported(tmp_path / "runs", tmp_path / "out")
    for table in TABLES:
        frame = pd.read_parquet(tmp_path / "out" / f"{table}.parquet")
        assert list(frame.columns) == list(columns_of(table)) == list(frames[table].columns)
        for name in ("record", "hiou", "iou", "pixels", "seen", "truth", "label"):
            if name in frame:
                assert frame[name].tolist() == frames[table][name].tolist()


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the tables cannot be had as CSV without pyarrow, or what is missing is not said."""
    store(tmp_path / "runs")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exported(tmp_path / "runs", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))

    def absent():
        raise UserError("parquet needs pyarrow")

    monkeypatch.setattr("results.tables.export_tables.parquet_or_refuse", absent)
    with pytest.raises(UserError, match="pyarrow"):
        exported(tmp_path / "runs", tmp_path / "other", formats=["parquet"])
    assert not list((tmp_path / "other").iterdir())


def test_every_column_is_explained(tmp_path: Path) -> None:
    """Fails if a column is not in the dictionary, one of it is in no table, or one is explained by nothing."""
    store(tmp_path / "runs")
    frames = exported(tmp_path / "runs", tmp_path / "out", formats=["csv"])
    told = pd.read_csv(tmp_path / "out" / "dictionary.csv", keep_default_na=False)
    assert list(zip(told["table"], told["column"], strict=True)) == [(t, c) for t in TABLES for c in frames[t]]
    assert all(described.meaning for described in DICTIONARY)


def test_the_page_of_the_docs_is_the_dictionary() -> None:
    """Fails if the docs say otherwise: `python -m results.tables.data_dictionary > docs/export.md` writes them anew."""
    assert (PROJECT / "docs" / "export.md").read_text(encoding="utf-8") == data_dictionary.page()


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_breaks_off_changes_nothing(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if half a table takes the place of a whole one, or its draft stays; or if two exports share a draft."""
    pytest.importorskip("pyarrow")
    store(tmp_path / "runs")
    exported(tmp_path / "runs", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    seen: list[str] = []

    def broken(number: int, one: Stored):
        seen.extend(path.name for path in (tmp_path / "out").glob(DRAFT))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("results.tables.export_tables.parts", broken)
    found = [one for one in find_stored(tmp_path / "runs") if isinstance(one, Stored)]
    for _ in range(2):
        with pytest.raises(OSError, match=r"No space left on device: '.*out.*'"):
            export_tables(found, frozenset(), tmp_path / "out", [form])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert len(set(seen)) == 2 * len(TABLES)


def test_names_that_would_be_formulas_or_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a class's name reaches a spreadsheet as a formula, a terminal as a code, or a number becomes text."""
    monkeypatch.setattr(factory, "CLASSES", ("=1+1", "\x1b[2Jbee", "@cow", "-dog"))
    store(tmp_path / "runs")
    frames = exported(tmp_path / "runs", tmp_path / "out")
    assert frames["classes"]["class"].tolist() == ["'=1+1", "\\x1b[2Jbee", "'@cow", "'-dog"]
    assert frames["sweeps"]["shift"].tolist()[0] == -0.1
    assert all("\x1b" not in path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.csv"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give also --out"),
        (["--out", "all.xlsx"], r"\.csv or \.parquet"),
        (["--out", "all.csv", "--format", "csv"], "--format is of a folder"),
        (["--compute", "--out", "hours.parquet"], "hours are written as .csv"),
    ],
)
def test_what_cannot_be_is_one_line(options, words, tmp_path, capsys, monkeypatch) -> None:
    """Fails if an option is ignored, or ends in a stack trace."""
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "runs")
    assert harness.main(["export", "--from", "runs", *options]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_the_command_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if the command does not say what it wrote, or prints no hours."""
    store(tmp_path / "runs")
    assert harness.main(["export", "--from", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    assert "1 records" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {f"{t}.csv" for t in TABLES} | {"dictionary.csv"}
    assert harness.main(["export", "--from", str(tmp_path / "runs"), "--compute"]) == 0
    assert "| alpha" in capsys.readouterr().out

"""Hours over all attempts: every phase once, nothing guessed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.twins import twin_of
from results.store.record import Phase, RunRecord
from results.tables.compute import compute_table
from tests.results.factory import record


def phase(of: RunRecord, **changes: Any) -> Phase:
    known = {"seconds": 3600.0, "device_seconds": 7200.0, "cpu_seconds": 1800.0, "processor": "X"}
    return of.provenance.scoring.model_copy(update=known | changes)


def with_phases(training: dict[str, Any] | None, scoring: dict[str, Any], **changes: Any) -> RunRecord:
    made = record(**changes)
    phases = {"scoring": phase(made, **scoring), "training": None if training is None else phase(made, **training)}
    return made.model_copy(update={"provenance": made.provenance.model_copy(update=phases)})


def rows_of(*records: RunRecord) -> dict[tuple[str, str, str], dict[Any, Any]]:
    rows = compute_table(records).frame.to_dict("records")
    return {(row["method"], row["phase"], row["device"]): row for row in rows}


def test_hours_by_method_and_device() -> None:
    """Fails if an hour is lost, or added to another method, phase or device."""
    gpu = {"device": "H100", "energy_joules": 7.2e6}
    rows = rows_of(
        with_phases({**gpu, "seconds": 7200.0}, {}),
        with_phases(gpu, {}, seed=1),
        with_phases(None, {}, method="beta"),
    )
    training = rows["alpha", "training", "H100"]
    assert (training["wall_hours"], training["cpu_hours"], training["device_hours"]) == (3.0, 1.0, 4.0)
    assert (training["energy_kwh"], training["with_energy"], training["phases"]) == (pytest.approx(4.0), 2, 2)
    assert rows["alpha", "scoring", "X"]["wall_hours"] == 2.0
    assert rows["beta", "scoring", "X"]["wall_hours"] == 1.0
    assert math.isnan(rows["beta", "scoring", "X"]["energy_kwh"])
    assert rows["all methods", "both", "X"]["wall_hours"] == 3.0
    assert rows["all methods", "both", "H100"]["device_hours"] == 4.0


def test_a_training_that_was_scored_twice_counts_once() -> None:
    """Fails if the hours of a training are counted for each part that its weights were scored on."""
    rows = rows_of(with_phases({}, {}), with_phases({}, {"started": "2026-01-02T00:00:00Z"}, part="tune"))
    assert rows["alpha", "training", "X"]["phases"] == 1
    assert rows["alpha", "scoring", "X"]["phases"] == 2


def test_a_training_under_two_names_of_a_benchmark_counts_once() -> None:
    """Fails if the hours that voc-15-5 shares with fold 3 of pascal-5i are counted for both, or other hours for one."""
    one, later = (with_phases(at, at, benchmark="voc-15-5") for at in ({}, {"started": "2026-01-02T00:00:00Z"}))
    other, apart = map(under_the_other_name, (one, later))
    assert rows_of(one, other)["all methods", "both", "X"]["phases"] == 2
    assert rows_of(one, apart)["all methods", "both", "X"]["phases"] == 4


def under_the_other_name(of: RunRecord) -> RunRecord:
    specs = {"train": twin_of(of.result.train), "evaluation": twin_of(of.result.evaluation)}
    return of.model_copy(update={"result": of.result.model_copy(update=specs)})


def test_copies_count_once() -> None:
    """Fails if the copy of a record in another folder doubles its hours."""
    made = with_phases({}, {})
    assert rows_of(made, made)["all methods", "both", "X"]["phases"] == 2


def test_what_was_not_timed_is_undefined() -> None:
    """Fails if a record that did not time its attempts counts as no time at all without a word."""
    old = {"seconds": None, "device_seconds": None, "cpu_seconds": None}
    rows = rows_of(with_phases(None, old))
    assert math.isnan(rows["alpha", "scoring", "X"]["wall_hours"])
    assert rows["alpha", "scoring", "X"]["without_time"] == 1
    rows = rows_of(with_phases(None, old), with_phases(None, {}, seed=1))
    assert (rows["alpha", "scoring", "X"]["wall_hours"], rows["alpha", "scoring", "X"]["without_time"]) == (1.0, 1)
    assert "–" in compute_table([with_phases(None, old)]).markdown()


def test_a_cpu_is_one_device_whatever_its_vectors() -> None:
    """Fails if hours of one kind of machine stand in several rows, because a record also names model and vectors."""
    rows = rows_of(
        with_phases(None, {"processor": "AMD EPYC"}),
        with_phases(None, {"processor": "AMD EPYC, family 25, model 17, AVX2"}, seed=1),
    )
    assert [key for key in rows if key[0] == "alpha"] == [("alpha", "scoring", "AMD EPYC")]

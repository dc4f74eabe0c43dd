"""The shift that is tuned alike for every method: found on the tune part, read off where it counts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scoring.metrics import harmonic
from results.store.folders import Stored
from results.store.record import Scores
from results.store.selection import Selected
from results.tables import calibration, content, selected_tables
from results.tables.calibration import best_shift, every_shift, key_of, tuned_scores
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results import factory

SHIFTS = np.array([-0.5, 0.0, 0.5, 1.0])


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "load_split", lambda name: factory.split())


def lay(root: Path, unseen_right: list[int], **changes) -> Stored:
    """A stored run: at each shift so many of 40 unseen pixels are right, at a quarter as many of a seen class wrong."""
    train, evaluation = factory.specs(**changes)
    folder = root / train.folder / "evals" / evaluation.key
    folder.mkdir(parents=True)
    hidden = evaluation.side.classes.index(evaluation.side.unseen[0])
    matrices = np.stack([40 * np.eye(4, dtype=np.int64) for _ in SHIFTS])
    for matrix, right in zip(matrices, unseen_right, strict=True):
        wrong = 40 - right
        matrix[hidden, hidden], matrix[hidden, (hidden + 1) % 4] = right, wrong  # taken for a seen class
        matrix[(hidden + 1) % 4, (hidden + 1) % 4] = 40 - right // 4  # and what it costs the seen one
        matrix[(hidden + 1) % 4, hidden] = right // 4
    np.savez(folder / "confusion.npz", shifts=SHIFTS, own_index=1, matrices=matrices, per_image=np.zeros((0, 4)))
    sha256 = hashlib.sha256((folder / "confusion.npz").read_bytes()).hexdigest()
    record = factory.record(confusion_sha256=sha256, **changes)
    (folder / "record.json").write_text(record.model_dump_json())
    return Stored(record, folder / "record.json")


def slow_hiou(stored: Stored, shift: float) -> float:
    """hIoU at a shift by plain loops over the classes."""
    arrays = np.load(stored.confusion)
    matrix = arrays["matrices"][list(arrays["shifts"]).index(shift)]
    side = stored.record.result.evaluation.side
    ious = {}
    for c, name in enumerate(side.classes):
        union = matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]
        ious[name] = matrix[c, c] / union
    means = [np.mean([ious[n] for n in side.classes if (n in side.seen) == flag]) for flag in (True, False)]
    return harmonic(*means)


def test_the_tuned_shift_is_found_on_tune_and_read_off_val(tmp_path: Path) -> None:
    """Fails when the shift is chosen on the scored part, another run's is taken, or another shift is read off."""
    tune = lay(tmp_path, [4, 8, 30, 12], part="tune")
    val = lay(tmp_path, [4, 36, 20, 12])
    other_seed = lay(tmp_path, [4, 36, 20, 12], seed=1)
    found = tuned_scores([val, tune, other_seed])
    assert set(found) == {key_of(val.record.result)}
    scores = found[key_of(val.record.result)]
    assert scores.shift == 0.5  # val itself is best at 0
    assert best_shift(every_shift(val)) == 0.0
    assert scores.hiou == pytest.approx(slow_hiou(val, 0.5), abs=1e-12)


@pytest.mark.parametrize(
    "change", [{"method": "zeta"}, {"fold": 1}, {"config": {"tokens": 3}}, {"recipe": factory.SHAPES}, {"limit": 3}]
)
def test_only_the_same_training_calibrates(tmp_path: Path, change: dict) -> None:
    """Fails when a run takes the shift of another method, fold, setting, recipe or of a trial run."""
    tune, val = lay(tmp_path, [4, 8, 30, 12], part="tune", **change), lay(tmp_path, [4, 36, 20, 12])
    assert tuned_scores([tune, val]) == {}


def test_a_tune_benchmark_calibrates_its_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when photos' shift is not the one chosen on train images of further hidden classes."""
    tuning = type("Split", (), {"tuning": True})
    monkeypatch.setattr(calibration, "load_split", lambda n: tuning if n.endswith("-tune") else factory.split())
    tune = lay(tmp_path, [4, 8, 30, 12], benchmark="toy-2i-tune")
    val = lay(tmp_path, [4, 36, 20, 12])
    found = tuned_scores([tune, val])
    assert {key: scores.shift for key, scores in found.items()} == {key_of(val.record.result): 0.5}


def test_a_stale_tune_benchmark_calibrates_nothing(
    tmp_path: Path, toy: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when a shift that another version of the method was tuned to is read off, and nobody is told."""
    tuning = type("Split", (), {"tuning": True})
    known = content.load_split
    monkeypatch.setattr(content, "load_split", lambda n: tuning if n.endswith("-tune") else known(n))
    monkeypatch.setattr(calibration, "load_split", content.load_split)
    tune, val = (lay(tmp_path, [4, 8, 30, 12], benchmark=name) for name in ("toy-2i-tune", "toy-2i"))
    for stale, kept in ((frozenset(), [tune, val]), (frozenset({tune.record.result.train.folder}), [val])):
        monkeypatch.setattr(Selected, "stale", stale)
        assert selected_tables._without_stale_tuning(Selected((tune, val), {})) == kept
    assert "left out of tuned shifts: stale, `run --stale` makes them again: toy-2i-tune" in capsys.readouterr().err


def test_of_equals_the_smallest_shift() -> None:
    """Fails when a tie is settled by the order of the sweep: a larger shift than needed would be taken."""
    points = [Scores(shift=s, pacc=1, miou_seen=1, miou_unseen=1, hiou=h) for s, h in ((-2, 0.5), (-1, 0.7), (1, 0.7))]
    assert best_shift(points) == -1
    undefined = [Scores(shift=s, pacc=1, miou_seen=None, miou_unseen=1, hiou=None) for s in (-1, 0, 1)]
    assert best_shift(undefined) == 0


def test_the_table_shows_both_shifts_of_every_method(tmp_path: Path, toy: None) -> None:
    """Fails when a mean is not over all folds of a seed, a seed without tune records counts, or a row is missing."""
    val, tune = ([4, 36, 20, 12], [4, 36, 20, 12]), ([4, 8, 30, 12], [4, 8, 12, 30])  # of two folds
    stored = [
        lay(tmp_path, rights[fold], fold=fold, seed=seed, method=method, part=part)
        for method in ("alpha", "zeta")
        for seed in (0, 1)
        for fold in (0, 1)
        for part, rights in (("val", val), ("tune", tune))
    ]
    stored += [lay(tmp_path, val[fold], fold=fold, seed=2, method="zeta") for fold in (0, 1)]
    records = [one.record for one in stored if one.record.result.evaluation.part == "val"]
    (table,) = build_tables(records, view=View(("calibrated",)), tuned=tuned_scores(stored))
    assert table.frame["name"].tolist() == ["zeta", "alpha"]
    assert table.frame["seeds"].tolist() == [2, 2]
    at = {(s.record.result.train.method, s.record.result.evaluation.fold): s for s in stored if s.record in records}
    expected = np.mean([slow_hiou(at["alpha", 0], 0.5), slow_hiou(at["alpha", 1], 1.0)])
    row = table.frame.iloc[1]
    assert row["hiou_tuned"] == pytest.approx(expected, abs=1e-12)
    assert row["delta"] == pytest.approx(row["hiou_tuned"] - row["hiou_own"])
    assert row["shifts"] == "0.5 to 1"
    rounded = {"hiou_own": 0.32351, "hiou_tuned": 0.32246, "delta": 0.32246 - 0.32351}  # shown as 32.4 and 32.2
    (cell,) = [column.cell(rounded) for column in table.columns if column.header == "Δ hIoU"]
    assert cell == "-0.2"
    stale = frozenset({at["alpha", 0].record.result.train.folder})
    (table,) = build_tables(records, view=View(("calibrated",)), tuned=tuned_scores(stored), stale=stale)
    assert [cells[0] for cells in table.cells()] == ["zeta", "alpha ‡"]
    assert any(note.startswith("‡ stale") for note in table.notes)
    assert build_tables(records, view=View(("calibrated",)), tuned={}) == []

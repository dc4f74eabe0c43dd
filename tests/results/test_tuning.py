"""The table of trials: what may enter it, and what its means are."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from results.tuning import __main__ as tuning
from splits.errors import UserError
from tests.results import factory


def tuned(unseen: float, **changes):
    return factory.record(unseen=unseen, part="tune", **changes)


def test_nothing_but_the_tune_part_enters() -> None:
    """Fails when a constant can be said to be chosen by a run that saw test images, or by half a run."""
    with pytest.raises(UserError, match="scored on the val part; a trial is a whole run on tune"):
        tuning.row(factory.record())
    with pytest.raises(UserError, match="a trial is a whole run on tune"):
        tuning.row(tuned(0.5, partial=True))


def test_a_folder_with_both_parts_gives_its_tune_part(tmp_path, monkeypatch, capsys) -> None:
    """Fails when runs that were scored on val too cannot be trials, or their val scores enter."""
    monkeypatch.setattr(tuning, "TRIALS", tmp_path / "trials.csv")
    for part in ("val", "tune"):
        factory.store(tmp_path / "runs", part=part)
    tuning.main([str(tmp_path / "runs")])
    assert len(pd.read_csv(tuning.TRIALS)) == 1
    assert "left out: 1 records that are not of the tune part" in capsys.readouterr().err


def test_what_is_stored_saw_no_test_image() -> None:
    """Fails when a row of the stored trials is of another part, or stands there twice."""
    trials = pd.read_csv(tuning.TRIALS)
    assert len(trials)
    assert not trials.duplicated(tuning.KEY).any()
    assert set(trials["benchmark"]) == {"shapes-5i"}
    assert trials["hiou"].between(0, 100).all()


def test_runs_enter_once_and_newer_ones_replace_older() -> None:
    """Fails when reading the same folder again doubles its rows, or a run made again keeps its old score."""
    first = tuning.joined(pd.DataFrame(), [tuned(0.25), tuned(0.25, fold=1)])
    again = tuning.joined(first, [tuned(0.25), tuned(0.5, fold=1)])
    assert len(first) == len(again) == 2
    assert again["miou_unseen"].tolist() == [25.0, 50.0]
    more = tuning.joined(again, [tuned(0.5, seed=1)])
    assert len(more) == 3


def test_means_over_folds_and_seeds() -> None:
    """Fails when settings are mixed, a fold is forgotten, or the error is not that of the seeds' means."""
    records = [tuned(u, fold=f, seed=s) for s, pair in enumerate(((0.2, 0.4), (0.3, 0.5))) for f, u in enumerate(pair)]
    other = tuned(0.1, config={"tokens": 3})
    table = tuning.means(tuning.joined(pd.DataFrame(), [*records, other]))
    mine = table[table["settings"] == "{}"].iloc[0]
    hious = [[100 * 2 * 0.5 * u / (0.5 + u) for u in pair] for pair in ((0.2, 0.4), (0.3, 0.5))]
    seeds = [sum(pair) / 2 for pair in hious]
    assert mine["runs"] == 4
    assert mine["hiou"] == pytest.approx(sum(seeds) / 2, abs=1e-3)
    assert mine["se"] == pytest.approx(abs(seeds[0] - seeds[1]) / math.sqrt(2) / math.sqrt(2), abs=1e-3)
    assert mine["fold 1"] == pytest.approx((hious[0][1] + hious[1][1]) / 2, abs=1e-3)
    assert sorted(tuning.briefly(table)["settings"]) == ["", "tokens=3"]


def test_a_default_that_a_trial_went_back_to_is_named() -> None:
    """Fails when a trial at a default, which no record names, looks like the recipe, or the recipe is told too."""
    recipe = [tuned(0.5, method="clip-to-seg", config={"focal_weight": 0.3}, seed=seed) for seed in (0, 1)]
    trial = tuned(0.1, method="clip-to-seg", config={})
    table = tuning.briefly(tuning.means(tuning.joined(pd.DataFrame(), [*recipe, trial])))
    assert dict(zip(table["runs"], table["settings"], strict=True)) == {2: "", 1: "focal_weight=100.0"}

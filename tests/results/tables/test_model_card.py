"""The model card: what the card of the weights and the records beside it say, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from results.tables.model_card import model_card
from splits.errors import UserError
from tests.results import factory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    frame = harness.run(["zegclip"], folds=[0], limit=4, root=root, device="cpu")
    return root / frame["run"][0]


def test_a_card_says_what_was_trained_and_scored(run: Path) -> None:
    """Fails when the card leaves out the hidden classes, the hash of the weights, or that it is a trial run."""
    text, card = model_card(run / "model.json"), json.loads((run / "model.json").read_text())
    (record,) = [json.loads(path.read_text()) for path in run.glob("evals/*/record.json")]
    for word in (card["weights_sha256"], "arrow, bell, bolt, bottle, crescent", "at most 4 images", "partial"):
        assert word in text
    assert f"{100 * record['result']['own']['miou_seen']:.1f}" in text
    assert "nothing about photos" in " ".join(text.split())
    assert text.startswith("---\nlicense:")


def test_the_command_takes_a_key_and_writes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when `card` needs the whole folder's name, or writes another text than it prints."""
    root, key = run.parents[2], run.name.rpartition("-")[2]
    assert harness.main(["card", key, "--runs", str(root)]) == 0
    printed = capsys.readouterr().out
    assert harness.main(["card", str(run), "--out", str(tmp_path / "README.md")]) == 0
    assert (tmp_path / "README.md").read_text() == printed


def test_what_is_no_result_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when scores of the images that constants are chosen on, or of less than float32, pass for a result."""
    made = {part: factory.record(part=part) for part in ("val", "tune")}
    result = made["val"].result
    asked = result.evaluation.model_copy(update={"precision": "bf16", "tuned_on_test": True, "drawn": True})
    changed = made["val"].model_copy(update={"result": result.model_copy(update={"evaluation": asked})})
    monkeypatch.setattr("results.tables.model_card._records", lambda folder: [*made.values(), changed])
    rows = [line for line in model_card(run / "model.json").splitlines() if line.startswith("| toy-2i |")]
    assert rows[0].endswith("|  |")
    assert "scored on the tune part, where constants are chosen: no result" in rows[1]
    for words in ("compared on the scored images", "a drawn setting", "scored in bf16"):
        assert words in rows[2]


def test_another_file_is_refused(tmp_path: Path) -> None:
    """Fails when any JSON passes for a card."""
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="expected the card of finished weights"):
        model_card(tmp_path / "model.json")


def test_a_card_says_that_it_is_stale(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when weights of sources that have changed since are offered with their scores without a word."""
    assert "stale" not in model_card(run / "model.json")
    monkeypatch.setattr("results.store.staleness.sources_sha256", lambda method: "0" * 64)
    assert "stale: the method's sources have changed since" in model_card(run / "model.json")
    frame = harness.run(["zegclip"], folds=[0], limit=4, root=run.parents[2], device="cpu")
    assert [*frame["stale"]] == [True]  # as `run` does, it leaves them
    finished = harness.load(run)
    assert finished.remarks == ("the weights are stale: the method's sources have changed since",)

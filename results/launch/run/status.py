"""In which state a run is, as its folder shows it to an observer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from methods.registry import METHODS
from results.launch.plan.request import Run
from results.launch.run.data_state import DataState, changed
from results.launch.run.ranks import gone
from results.launch.run.sharing import shared
from results.store.claim import Claims
from results.store.data_changes import DATA
from results.store.folders import CorruptRecord, RunFolder, State
from results.store.provenance import sources_sha256
from results.store.record import RunRecord
from results.store.staleness import why_stale


@dataclass(frozen=True)
class Status:
    """The state of a run as an observer sees it."""

    state: State
    reason: str = ""
    step: int = 0
    iterations: int = 0
    rate: float | None = None  # images per second
    doing: str = ""  # loading, training, scoring
    mendable: bool = False  # of a failure: by the person, so that the next command tries again
    shared: str = ""  # what making it takes of the same run under another name

    @property
    def words(self) -> str:
        """State and reason."""
        return f"{self.state}: {self.reason}" if self.reason else self.state

    @property
    def has_record(self) -> bool:
        """Is there a record to show?"""
        return self.state in ("done", "stale")


def status(run: Run, root: Path, claims: Claims | None = None, data: DataState | None = None) -> Status:
    """Which state a run is in; a record that cannot be trusted is a failure, unless somebody is mending it.

    claims: of the run's folder, where one looks again and again: they time owners on other machines. data: the files
    that it would read now, where they are looked at.
    """
    seen = _status(run, run.folder(root), claims, data)
    if seen.state in ("done", "running") or (found := shared(run, root, data, anew=seen.state == "stale")) is None:
        return seen
    return replace(seen, shared=found.words)


def _status(run: Run, folder: RunFolder, claims: Claims | None, data: DataState | None) -> Status:
    word = folder.read_state()
    if word.get("evaluation", run.evaluation.key) != run.evaluation.key:
        word = {}  # how another scoring of the same weights ended
    steps = {
        "step": word.get("step", 0),
        "iterations": word.get("iterations", run.train.recipe.shortened(run.train.limit).iterations),
        "rate": word.get("rate"),
        "doing": word.get("doing", ""),
    }
    try:
        record, broken = _record(run, folder), ""
    except CorruptRecord as error:
        record, broken = None, str(error)
    if record is not None:
        why = why_stale(record)
        if data is not None and changed(data, record.result.train_data_sha256, record.result.eval_data_sha256):
            why = why or DATA
        if why:
            return Status("stale", f"{why} have changed since")
        return Status("done", **steps)
    claims = claims or folder.claims
    if claims.held():
        return Status("running", _alone(claims), **steps)
    if broken:
        return Status("failed", broken, **steps)
    if word.get("state") == "failed":
        reason, method = word.get("reason", "no reason was stored"), run.train.method
        mended = bool(word.get("sources")) and method in METHODS and word["sources"] != sources_sha256(method)
        return Status("failed", reason, **steps, mendable=word.get("mendable", False) or mended)
    if word.get("state") in ("running", "interrupted"):
        return Status("interrupted", word.get("reason", _without_a_word(run)), **steps)
    return Status("planned", **steps)


def _alone(claims: Claims) -> str:
    """Of a run that goes on although the harness that started it is gone."""
    pid = claims.orphan()
    stop = f"`kill {pid}` stops it with a checkpoint"
    return f"the harness that started it is gone; process {pid} goes on alone, {stop}" if pid else ""


def _without_a_word(run: Run) -> str:
    """Of a run whose owner is gone: with several ranks that is the first of them."""
    ranks = run.train.recipe.ranks
    return gone([0], ranks) if ranks > 1 else "its process ended without a word"


def _record(run: Run, folder: RunFolder) -> RunRecord | None:
    record = folder.read_record(run.evaluation)
    if record is not None and record.result.train.digest() != run.train.digest():
        raise CorruptRecord(f"{folder.path}: holds the record of another run; move it away and run again")
    return record

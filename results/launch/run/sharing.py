"""One training, and one scoring, for two runs that are the same under two names (`benchmarks.twins`). No torch.

A run whose twin has finished weights copies them with their card instead of training. Where the twin was scored too,
its counts are copied under the run's own specs. Taken is only what today's sources of the method made of the files as
they are now; everything else is made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.values import canonical_json
from results.launch.plan.request import Run
from results.launch.plan.twins import twin
from results.launch.run.data_state import DataState, DataStates
from results.launch.run.job import Job
from results.store.claim import Claim
from results.store.files import write_atomically
from results.store.folders import CARD, CONFUSION, LOG, RECORD, SPEC, WEIGHTS, CorruptRecord, RunFolder, read_json
from results.store.record import RunRecord
from results.store.staleness import is_stale, why_stale_weights


@dataclass(frozen=True)
class Shared:
    """What a run may take of its twin."""

    twin: Run
    folder: RunFolder  # the twin's
    card: dict[str, Any]  # of its weights
    record: RunRecord | None  # of these weights; None where they are not scored in this way

    @property
    def words(self) -> str:
        """What is taken, and of which run."""
        return f"{self.remark}: {self.twin.train.folder}"

    @property
    def remark(self) -> str:
        """The same for the record, in words that all seeds share."""
        train, scored = self.twin.train, self.record is not None
        if not train.recipe.iterations:
            return f"scores of {train.benchmark} fold {train.fold}, made already"
        which = "weights and scores" if scored else "weights"
        return f"{which} of {train.benchmark} fold {train.fold}, trained already"


def shared(
    run: Run, root: Path, data: DataState | None = None, *, sure: bool = False, anew: bool = False
) -> Shared | None:
    """What a run may take of its twin; None where it has to be made, or is there. Weights of its own stay.

    data: what the run would read now. sure: what is not known of the data is a reason against it. anew: weights of its
    own are thrown away first.
    """
    other, data = twin(run), data or DataState()
    if other is None or data.problems:
        return None
    folder, own = other.folder(root), run.folder(root)
    card, stays = _current_card(other, folder, data, sure), own.trained() and not anew
    if card is None or (stays and (_card(own) or {}).get("weights_sha256") != card["weights_sha256"]):
        return None
    record = _record(other, folder, card, data, sure)
    if record is None and (stays or not run.train.recipe.iterations):
        return None
    return Shared(other, folder, card, record)


def remaining(run: Run, root: Path, *, train: bool = True, force: bool = False) -> Run | None:
    """What making a run takes: all of it, or the scoring alone, named as where its time was measured; None: nothing.

    train: False where finished weights are only scored. force: nothing is taken of another run, or kept of its own.
    """
    scored = (run.folder(root).evaluation(run.evaluation) / RECORD).exists()  # and to be made: it is stale
    found = None if force else shared(run, root, anew=scored)
    if found is None:
        stays = not train or (run.folder(root).trained() and not scored and not force)
        return _scoring(run) if stays else run
    return _scoring(found.twin) if found.record is None else None


def _scoring(run: Run) -> Run:
    """The run without its training."""
    recipe = run.train.recipe.model_copy(update={"iterations": 0})
    return replace(run, train=run.train.model_copy(update={"recipe": recipe}))


def trained_first(job: Job) -> Run | None:
    """The twin that should be trained before this job, which then takes its weights; None where it need not wait."""
    if not (job.share and job.train and job.run.train.recipe.iterations):
        return None
    if shared(job.run, job.root, anew=job.force) or (job.run.folder(job.root).trained() and not job.force):
        return None
    return twin(job.run)


def in_turn(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """The jobs, and those to be made after them: their training is that of one before them under another name."""
    first: list[Job] = []
    later: list[Job] = []
    folders: set[str] = set()
    for job in jobs:
        other = trained_first(job)
        (later if other is not None and other.train.folder in folders else first).append(job)
        folders.add(job.run.train.folder)
    return first, later


def take(job: Job, folder: RunFolder, claim: Claim) -> bool:
    """Copy to a run's folder what may be taken of its twin; True where nothing is left to be made."""
    if not job.share or shared(job.run, job.root) is None:
        return False
    found = shared(job.run, job.root, DataStates(job.data).of(job.run), sure=True)
    try:
        return found is not None and _copied(found, job.run, folder, claim)
    except FileNotFoundError:  # the twin is being made anew
        return False


def _copied(found: Shared, run: Run, folder: RunFolder, claim: Claim) -> bool:
    def write(path: Path, content: bytes) -> None:
        write_atomically(path, content, before_rename=claim.check)

    if not folder.trained():
        weights = (found.folder.path / WEIGHTS).read_bytes()
        if hashlib.sha256(weights).hexdigest() != found.card["weights_sha256"]:
            return False
        for begun in (folder.path / LOG, *folder.path.glob("checkpoint-*.pt")):  # of a training that does not go on
            begun.unlink(missing_ok=True)
        own = {"spec": run.train.digest(), "train": run.train.model_dump(mode="json")}
        remark = replace(found, record=None).remark
        write(folder.path / WEIGHTS, weights)
        write(folder.path / CARD, canonical_json({**found.card, **own, "remarks": (remark,)}).encode())
    if found.record is None:
        return False
    there, here = (of.evaluation(e) for of, e in ((found.folder, found.twin.evaluation), (folder, run.evaluation)))
    counts, result = (there / CONFUSION).read_bytes(), found.record.result
    if hashlib.sha256(counts).hexdigest() != result.confusion_sha256:
        return False
    back = {replace(found, twin=run, record=record).remark for record in (None, found.record)}  # it took them here
    warnings = (*(line for line in result.warnings if line not in back), found.remark)
    renamed = result.model_copy(update={"train": run.train, "evaluation": run.evaluation, "warnings": warnings})
    record = found.record.model_copy(update={"result": renamed})
    write(here / SPEC, canonical_json(run.evaluation.model_dump(mode="json")).encode())
    write(here / CONFUSION, counts)
    write(here / RECORD, record.model_dump_json(indent=1).encode())
    return True


def _card(folder: RunFolder) -> dict[str, Any] | None:
    """The card of finished weights; None where there are none, or it cannot be read."""
    try:
        card = read_json(folder.path / CARD) if folder.trained() else None
    except (CorruptRecord, OSError):
        return None
    return card if isinstance(card, dict) and "weights_sha256" in card else None


def _current_card(run: Run, folder: RunFolder, data: DataState, sure: bool) -> dict[str, Any] | None:
    """The same of this very training; None as well where it was of other sources, body weights or data."""
    card = _card(folder)
    if card is None or card.get("spec") != run.train.digest():
        return None
    of = (str(card.get(name, "")) for name in ("sources_sha256", "body_sha256"))
    current = not why_stale_weights(run.train, *of)
    return card if current and _same(data.train_sha256, card.get("train_data_sha256", ""), sure) else None


def _record(run: Run, folder: RunFolder, card: dict[str, Any], data: DataState, sure: bool) -> RunRecord | None:
    """The record of these weights; None where there is none, or it is not to be trusted or of other data."""
    try:
        record = folder.read_record(run.evaluation)
    except (CorruptRecord, OSError):
        return None
    if record is None or is_stale(record) or record.result.train.digest() != run.train.digest():
        return None
    if record.result.weights_sha256 != card["weights_sha256"]:
        return None
    return record if _same(data.eval_sha256, record.result.eval_data_sha256, sure) else None


def _same(now: str, then: str, sure: bool) -> bool:
    return now == then if sure else not (now and then and now != then)

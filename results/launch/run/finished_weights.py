"""Finished weights in their method: those of a run, of a file with its card, or of a file from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.spec import TrainSpec
from methods.clip import Clip
from methods.method import Method
from methods.registry import entry
from results.launch.plan.request import Run
from results.launch.plan.weight_cards import card_of, check_clip, spec_on
from results.launch.run.build import build, clip_of
from results.launch.run.weights import imported, restore
from results.store.folders import CARD, SPEC, WEIGHTS, RunFolder, read_json
from results.store.staleness import why_stale_weights
from splits.errors import UserError
from splits.hashing import file_sha256


@dataclass(frozen=True)
class Finished:
    """A method with its weights, ready to predict, and how it was trained."""

    method: Method
    spec: TrainSpec
    weights_sha256: str  # empty where nothing was trained
    clip: Clip | None
    remarks: tuple[str, ...] = ()  # what to know of weights and CLIP


def of_run(path: Path, clip_file: Path | None) -> Finished:
    """The finished weights of a run's folder."""
    spec = TrainSpec.parse(read_json(path / SPEC), source=str(path / SPEC))
    if not RunFolder(path).trained():
        raise UserError(f"{path}: no finished weights there; let the run end first")
    return _restored(path / WEIGHTS, path / CARD, spec, clip_file)


def of_card(file: Path, clip_file: Path | None) -> Finished:
    """The weights of a file that has its card beside it."""
    card = card_of(file)
    if card is None:
        raise UserError(f"{file}: no card ({file.with_suffix('.json').name}) beside it; name the method with --methods")
    return _restored(file, card, spec_on(card), clip_file)


def of_plan(run: Run, root: Path, clip_file: Path | None, weights: Path | None = None) -> Finished:
    """What a planned run names: a file from elsewhere, a method that trains nothing, or the run that is there."""
    spec = run.train
    if weights is not None:
        clip = clip_of(spec.clip, clip_file)
        method = build(spec, clip, finished=True)
        remarks = imported(method, weights)
        return Finished(method.eval(), spec, file_sha256(weights), clip, (*_of(clip), *remarks))
    folder = run.folder(root)
    if folder.trained():
        return _restored(folder.path / WEIGHTS, folder.path / CARD, spec, clip_file)
    if not entry(spec.method).trained and spec.recipe.iterations == 0:
        clip = clip_of(spec.clip, clip_file)
        return Finished(build(spec, clip).eval(), spec, "", clip, _of(clip))
    raise UserError(f"{run.name}: no finished weights in {root}; train it first (the same arguments with `run`)")


def _restored(file: Path, card: Path, spec: TrainSpec, clip_file: Path | None) -> Finished:
    check_clip(spec, clip_file, file)
    clip = clip_of(spec.clip, clip_file)
    method = build(spec, clip, finished=True)
    weights = restore(file, card, spec, method, clip.weights_sha256 if clip else "")
    stale = why_stale_weights(spec, weights.sources, weights.body_sha256)
    changed = (f"the weights are stale: {stale} have changed since",) if stale else ()
    return Finished(method.eval(), spec, weights.sha256, clip, (*changed, *_of(clip), *weights.remarks))


def _of(clip: Clip | None) -> tuple[str, ...]:
    return () if clip is None else clip.remarks

"""Weights from the net, in this machine's cache: compute nodes often have no internet."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.catalogue import BUILTIN
from benchmarks.spec import ClipId
from results.launch.plan.body_weights import NONE, PUBLISHED, BodyWeights, weights_of
from results.launch.plan.request import Run
from results.launch.plan.settings import config_of
from splits.errors import UserError


def fetched(runs: Sequence[Run]) -> Iterator[str]:
    """Fetch the weights of CLIP and bodies, and tokenizers, that runs need: a line for each when it is here."""
    from results.launch.run.build import clip_of

    clips = tagged_clips(runs)
    _refuse_unknown(clips)
    for clip in clips:
        loaded = clip_of(clip)
        yield f"{clip.model}/{clip.pretrained}: here, sha256 {loaded.weights_sha256 if loaded else ''}"
    for weights in body_weights(runs):
        yield f"{weights}: here, sha256 {_fetch(weights)}"


def absent(runs: Sequence[Run]) -> list[str]:
    """Weights of the runs that cannot be loaded without the net: CLIPs by model and tag, those of bodies."""
    return _absent_clips(tagged_clips(runs)) + absent_bodies(runs)


def absent_bodies(runs: Iterable[Run]) -> list[str]:
    """The body weights of runs that are not on this disk."""
    return [str(weights) for weights in body_weights(runs) if not is_cached(weights)]


def body_weights(runs: Iterable[Run]) -> list[BodyWeights]:
    """The body weights of runs, each once; imported weights need none below them."""
    found = (weights_of(run.train, config_of(run.train)) for run in runs if not run.train.weights)
    return list(dict.fromkeys(weights for weights in found if weights is not None))


def refuse_absent_bodies(runs: Iterable[Run]) -> None:
    """Raise UserError where one of these trainings would begin with body weights that are not on this disk."""
    runs = list(runs)
    if missing := absent_bodies(runs):
        lacking = [run for run in runs if absent_bodies([run])]
        if all(run.train.recipe.iterations for run in lacking):
            other = f"let bodies begin from noise with --set METHOD.body_weights={NONE}, which tables show"
        else:  # nothing trains the body: noise would stay noise
            other = "name a file with --set METHOD.body_weights=FILE"
        raise UserError(
            f"not on this disk: {', '.join(missing)}; fetch with `python harness.py prefetch` (same arguments), or "
            f"{other}"
        )


def refuse_absent_clips(runs: Iterable[Run]) -> None:
    """Have the weights of CLIPs that come by a tag on this disk; raises UserError for one that is not to be had."""
    if not (clips := tagged_clips(runs)):
        return
    from methods.clip.tags import weights_of_tag

    for clip in clips:
        try:
            weights_of_tag(clip.model, clip.pretrained)
        except (ValueError, OSError) as error:
            raise UserError(f"--clip {clip.model}/{clip.pretrained}: {error}") from None


def is_cached(weights: BodyWeights) -> bool:
    """Can they be loaded without the net? (`methods.bodies` keeps a URL's file in torch's hub folder.)"""
    if weights.is_file:
        return Path(weights.source).is_file()
    import torch

    path = urllib.parse.urlsplit(_address(weights)).path
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(path).name).is_file()


def _address(weights: BodyWeights) -> str:
    if weights.source != PUBLISHED:
        return weights.source
    from methods.bodies.dino import DINO
    from methods.bodies.mmseg_architectures import PUBLISHED as BODIES

    if weights.body in DINO:
        return DINO[weights.body].weights
    if weights.body not in BODIES or not BODIES[weights.body].weights:
        raise UserError(f"no address is published for the weights of {weights.body}; give a file by its path")
    return BODIES[weights.body].weights


def _fetch(weights: BodyWeights) -> str:
    """Have them on this disk and see that they fit their body; returns the sha256 of the file."""
    from methods.bodies import build_body
    from methods.bodies.dino import DINO, build_dino

    try:
        if weights.body in DINO:
            return build_dino(weights.body, weights=weights.source).weights_sha256 or ""
        return build_body(weights.body, out_channels=1, weights=weights.source).weights_sha256 or ""
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None


def _refuse_unknown(clips: Iterable[ClipId]) -> None:
    """Raise UserError for a model or a tag that there is none of: it is not to be fetched."""
    from methods.clip.tags import is_here

    for clip in clips:
        try:
            is_here(clip.model, clip.pretrained)
        except ValueError as error:
            raise UserError(f"--clip {clip.model}/{clip.pretrained}: {error}") from None


def _absent_clips(clips: Sequence[ClipId]) -> list[str]:
    if not clips:
        return []
    from huggingface_hub import constants

    from results.launch.run.build import clip_of

    _refuse_unknown(clips)
    missing, kept = [], constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        for clip in clips:
            try:
                clip_of(clip)
            except UserError:
                missing.append(f"{clip.model}/{clip.pretrained}")
    finally:
        constants.HF_HUB_OFFLINE = kept
    return missing


def tagged_clips(runs: Iterable[Run]) -> list[ClipId]:
    """The CLIPs of runs that come from the net, each once."""
    clips = (run.train.clip for run in runs)
    return list(dict.fromkeys(c for c in clips if c is not None and c.pretrained not in (BUILTIN, "file")))

"""Weights from the net into this machine's cache: compute nodes often have no internet."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from benchmarks.catalogue import BUILTIN
from benchmarks.spec import ClipId
from results.launch.plan import body_weights as bodies
from results.launch.plan.request import Run
from results.launch.plan.runs import plan
from splits.errors import UserError


def prefetch(options: argparse.Namespace) -> int:
    """Fetch the weights of CLIP and bodies, and tokenizers, that the runs asked for need; returns the exit code."""
    from results.launch.commands.parse import request_of
    from results.launch.run.build import clip_of

    request, _ = request_of(options)
    runs = plan(request)
    clips, weights = _tagged(runs), bodies.needed(runs)
    for clip in clips:
        loaded = clip_of(clip)
        print(f"{clip.model}/{clip.pretrained}: here, sha256 {loaded.weights_sha256 if loaded else ''}")
    for asked in weights:
        print(f"{asked}: here, sha256 {bodies.fetch(asked)}")
    if not clips and not weights:
        print("nothing to fetch: these runs need no weights from the net")
    return 0


def absent(runs: Sequence[Run]) -> list[str]:
    """Weights of the runs that cannot be loaded without the net: CLIPs by model and tag, those of bodies."""
    return _absent_clips(_tagged(runs)) + [str(asked) for asked in bodies.needed(runs) if not bodies.here(asked)]


def _absent_clips(asked: Sequence[ClipId]) -> list[str]:
    if not asked:
        return []
    from huggingface_hub import constants

    from results.launch.run.build import clip_of

    missing, kept = [], constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        for clip in asked:
            try:
                clip_of(clip)
            except UserError:
                missing.append(f"{clip.model}/{clip.pretrained}")
    finally:
        constants.HF_HUB_OFFLINE = kept
    return missing


def _tagged(runs: Iterable[Run]) -> list[ClipId]:
    """The CLIPs of runs that come from the net, each once."""
    clips = (run.train.clip for run in runs)
    return list(dict.fromkeys(c for c in clips if c is not None and c.pretrained not in (BUILTIN, "file")))

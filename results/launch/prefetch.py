"""Weights from the net into this machine's cache: compute nodes often have no internet."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from benchmarks.catalogue import BUILTIN
from benchmarks.spec import ClipId
from results.launch.plan import Run, plan
from splits.errors import UserError


def prefetch(options: argparse.Namespace) -> int:
    """Fetch the CLIP weights and tokenizers that the runs asked for need; returns the exit code."""
    from results.launch.build import clip_of
    from results.launch.grid import request_of

    request, clip_file = request_of(options)
    asked = _tagged(plan(request)) if clip_file is None else []
    for clip in asked:
        loaded = clip_of(clip)
        print(f"{clip.model}/{clip.pretrained}: here, sha256 {loaded.weights_sha256 if loaded else ''}")
    if not asked:
        print("nothing to fetch: these runs need no weights from the net")
    return 0


def absent(runs: Sequence[Run]) -> list[str]:
    """CLIP weights of the runs that cannot be loaded without the net, by model and tag."""
    asked = _tagged(runs)
    if not asked:
        return []
    from huggingface_hub import constants

    from results.launch.build import clip_of

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

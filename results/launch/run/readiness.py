"""What a grid needs that is not on this disk, for a dry run: weights of CLIPs and bodies. Nothing is fetched.

Torch is imported only where weights come by a tag or an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.spec import ClipId
from results.launch.plan.body_weights import NONE
from results.launch.plan.request import Run
from results.launch.plan.settings import config_of
from results.launch.run.prefetch import absent_bodies, tagged_clips
from splits.errors import UserError


def unready(runs: Sequence[Run]) -> Iterator[str]:
    """Lines: weights that are absent and what fetches them, and bodies that begin without ImageNet weights.

    A run of no iterations is scored alone: its body begins with nothing.
    """
    trained = [run for run in runs if run.train.recipe.iterations]
    try:
        absent = [f"{clip.model}/{clip.pretrained}" for clip in tagged_clips(runs) if not _is_here(clip)]
        absent += absent_bodies(trained)
    except ModuleNotFoundError as error:
        yield f"weights: not looked for, {error.name} is not installed: pip install '.[train]'"
    else:
        if absent:
            yield f"absent weights: {', '.join(absent)}; fetch with `python harness.py prefetch` (same arguments)"
    noise = dict.fromkeys(
        f"{run.train.method} ({config.body})"
        for run in trained
        if not run.train.weights
        and getattr(config := config_of(run.train), "body_weights", None) == NONE
        and hasattr(config, "body")
    )
    if noise:
        yield f"bodies without ImageNet weights, from noise: {', '.join(noise)}"


def _is_here(clip: ClipId) -> bool:
    from methods.clip.tags import is_here

    try:
        return is_here(clip.model, clip.pretrained)
    except ValueError as error:
        raise UserError(f"--clip {clip.model}/{clip.pretrained}: {error}") from None

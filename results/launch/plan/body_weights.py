"""Weights that bodies begin with: which ones runs need, whether they are on this disk, and how they come there.

ImageNet's for photos; for the built-in world and its body small the files that come with it. No torch here until
something is fetched or looked up.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.shapes.body import files as shipped
from benchmarks.spec import TrainSpec
from methods.config import MethodConfig
from splits.errors import UserError

if TYPE_CHECKING:
    from methods.method import Method
    from results.launch.plan.request import Run

NONE, PUBLISHED, WITHOUT_UNSEEN = "none", shipped.PUBLISHED, shipped.WITHOUT_UNSEEN
SMALL = "small"  # the body whose weights come with the built-in world


@dataclass(frozen=True)
class BodyWeights:
    """Weights that a run's body begins with."""

    body: str
    source: str  # a file, a URL, or "published"

    def __str__(self) -> str:
        return f"the weights of {self.body} ({self.source})"

    @property
    def is_file(self) -> bool:
        """Given by their path."""
        return self.source != PUBLISHED and not re.match(r"(https?|file)://", self.source)


def weights_of(spec: TrainSpec, config: MethodConfig) -> BodyWeights | None:
    """What a run's body begins with; None where the method has no body, or one that is drawn."""
    source = getattr(config, "body_weights", NONE)
    if source == NONE:
        return None
    body = getattr(config, "body", "")
    if body == SMALL and source in (PUBLISHED, WITHOUT_UNSEEN):
        source = str(shipped.weights_file(source, spec.fold))
    return BodyWeights(body, source)


def with_files(spec: TrainSpec, config: MethodConfig) -> MethodConfig:
    """A run's config with the path of its body's weights where they come with the built-in world."""
    asked = weights_of(spec, config)
    return config if asked is None else config.model_copy(update={"body_weights": asked.source})


def without_weights(config: MethodConfig) -> MethodConfig:
    """A config whose body begins with nothing, statistics included: its trained state is loaded over it."""
    if getattr(config, "body_weights", NONE) == NONE:
        return config
    return config.model_copy(update={"body_weights": NONE, "body_batch_norm": "local"})


def check(method: str, bench: str, config: MethodConfig) -> None:
    """Raise UserError for weights that this body has not on this benchmark, or that lie in no such file."""
    source, body = getattr(config, "body_weights", NONE), getattr(config, "body", "")
    if body == SMALL and source in (PUBLISHED, WITHOUT_UNSEEN):
        if bench != shipped.BENCHMARK:
            raise UserError(
                f"{method}: the weights {source!r} of the body {SMALL} are for {shipped.BENCHMARK}, not for {bench}; "
                f"set {method}.body_weights={NONE}, or choose another body"
            )
    elif source == WITHOUT_UNSEEN:
        raise UserError(
            f"{method}: weights {WITHOUT_UNSEEN!r} are there for the body {SMALL} on {shipped.BENCHMARK} alone; give a "
            f"file, a URL, {PUBLISHED!r} or {NONE!r}"
        )
    elif source != NONE and BodyWeights(body, source).is_file and not Path(source).is_file():
        raise UserError(
            f"{method}: there is no file of body weights {source}; give a file, a URL, {PUBLISHED!r} or {NONE!r}"
        )


def needed(runs: Iterable[Run]) -> list[BodyWeights]:
    """The body weights of runs, each once."""
    from results.launch.plan.settings import config_of

    found = (weights_of(run.train, config_of(run.train)) for run in runs)
    return list(dict.fromkeys(asked for asked in found if asked is not None))


def refuse_absent(runs: Iterable[Run], root: Path) -> None:
    """Raise UserError where a body would begin with weights that are not on this disk. Of runs below `root` those that
    have finished weights already need none.
    """
    untrained = (run for run in runs if not (run.train.weights or run.folder(root).trained()))
    if missing := [asked for asked in needed(untrained) if not here(asked)]:
        raise UserError(
            f"not on this disk: {', '.join(map(str, missing))}; fetch them with `python harness.py prefetch` (the same "
            f"arguments), or let bodies begin from noise with METHOD.body_weights={NONE}, which tables show"
        )


def here(asked: BodyWeights) -> bool:
    """Can they be loaded without the net? (`methods.bodies` keeps a URL's file in torch's hub folder.)"""
    if asked.is_file:
        return Path(asked.source).is_file()
    import torch

    path = urllib.parse.urlsplit(_address(asked)).path
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(path).name).is_file()


def fetch(asked: BodyWeights) -> str:
    """Have them on this disk and see that they fit their body; returns the sha256 of the file."""
    from methods.bodies import build_body

    try:
        return build_body(asked.body, out_channels=1, weights=asked.source).weights_sha256 or ""
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None


def loaded_sha256(method: Method) -> str:
    """Of the file that a method's body was given its weights from; empty where there is none."""
    from methods.bodies import Body

    hashes = [module.weights_sha256 for module in method.modules() if isinstance(module, Body)]
    return next(filter(None, hashes), "")


def _address(asked: BodyWeights) -> str:
    if asked.source != PUBLISHED:
        return asked.source
    from methods.bodies.published import PUBLISHED as BODIES

    if asked.body not in BODIES or not BODIES[asked.body].weights:
        raise UserError(f"no address is published for the weights of {asked.body}; give a file by its path")
    return BODIES[asked.body].weights

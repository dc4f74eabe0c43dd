"""What a command line asks for, as values: the request, its CLIP, its data. Imports no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Data
from benchmarks.data.datasets import data_roots
from benchmarks.spec import ClipId
from results.launch.plan.readings import read_readings
from results.launch.plan.request import Request
from results.launch.plan.runs import methods_named
from results.launch.plan.sweeps import settings_of
from results.launch.plan.transfer import named_otherwise
from splits.errors import UserError
from splits.hashing import file_sha256

SIZES = ("short_side", "window", "stride", "flips")  # how an image is cut up to be asked about


def request_of(options: argparse.Namespace) -> tuple[Request, Path | None]:
    """The request of a command line, and the CLIP's file where one was given."""
    clip, clip_file = clip_asked(options.clip)
    known = bool(data_roots(options.data_root))
    scoring = ("kind", "items", "absent_class", "background", "background_below", *SIZES)
    training = ("training_images", "crop_decision", "border")
    methods = methods_named(options.methods)
    request = Request(
        methods=methods,
        benchmarks=tuple(options.benchmarks or (["pascal-5i"] if known else ["shapes-5i"])),
        folds=None if options.folds is None else tuple(dict.fromkeys(options.folds)),
        seeds=tuple(dict.fromkeys(options.seeds)),
        clip=clip,
        setting=options.setting,
        scale=options.scale,
        part=options.part,
        templates=options.templates,
        recipe=options.recipe,
        readings=read_readings(options.reading, methods),
        overrides=tuple(options.set),
        names=options.class_names,
        training=given(options, training),
        inference=given(options, scoring),
        limit=options.limit,
        ranks=options.ranks,
        accumulate=options.accumulate,
        weights=_weights(options),
        sweep=settings_of(options),
        tune_on_test=options.tune_on_test,
        data=data_asked(options),
    )
    return request, clip_file


def data_asked(options: argparse.Namespace) -> Data:
    """Where the data of a command line lie, and how much of them may be missing."""
    return Data(root=options.data_root, subset=options.subset, year=options.year or "")


def given(options: argparse.Namespace, names: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """The options of these names that were given, with their values."""
    return tuple((name, getattr(options, name)) for name in names if getattr(options, name) is not None)


def clip_asked(text: str | None) -> tuple[ClipId | None, Path | None]:
    """What `--clip` names, and the file where it is one; raises UserError for what it cannot be."""
    if text is None:
        return None, None
    model, slash, weights = text.partition("/")
    if not slash or not model or not weights:
        raise UserError(f"--clip {text}: expected MODEL/TAG (ViT-B-16/openai) or MODEL/path/to/weights")
    path = Path(weights).expanduser()
    if path.is_file():
        return ClipId(model=model, pretrained="file", sha256=file_sha256(path)), path.resolve()
    if path.suffix in (".pt", ".pth", ".bin", ".safetensors"):
        raise UserError(f"--clip {text}: there is no file {path}")
    return ClipId(model=model, pretrained=weights), None


def _weights(options: argparse.Namespace) -> str:
    if options.weights is None:
        return ""
    if not options.weights.is_file():
        raise UserError(f"--weights {options.weights}: there is no such file")
    if len(methods_named(options.methods)) != 1 and not named_otherwise(options):
        raise UserError("--weights: these are the weights of one method; name it with --methods")
    return file_sha256(options.weights)

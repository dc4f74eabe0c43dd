"""Parsed options as values: what is requested, where its files lie, how it is executed. Imports no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Data, benchmark
from benchmarks.data.datasets import data_roots
from benchmarks.spec import ClipId
from methods.clip_file import config_sha256, weights_at
from methods.weight_endings import ENDINGS, has_weight_ending
from results.launch.execute.execution import Execution
from results.launch.execute.resources import Resources
from results.launch.plan.readings import read_readings
from results.launch.plan.request import Files, Request, Transfer
from results.launch.plan.runs import methods_named
from results.launch.plan.sweeps import Overrides, settings_of
from results.launch.plan.transfer import names_training
from results.launch.plan.weight_cards import refused_by_kind
from results.store.places import distinct
from results.store.selection import Selection
from splits.errors import UserError, no_file_words
from splits.hashing import file_sha256

SIZES = ("short_side", "window", "stride", "flips")  # how an image is cut up to be scored
TRAINING_SIDE = ("training_images", "crop_decision", "border")
EXECUTION = (  # fields that have an option of the same name
    *("jobs", "threads", "workers", "device", "dry_run", "force", "retry", "stale"),
    *("cluster", "cluster_config", "detach", "interval"),
)
EVALUATION_SIDE = ("kind", "items", "absent_class", "background", "background_below", *SIZES)


def request_of(options: argparse.Namespace, names: Sequence[str] | None = None) -> tuple[Request, Files]:
    """What to run, and where the files of it lie. Raises UserError.

    names: of methods, where `--methods` does not give them.
    """
    methods = methods_named(options.methods if names is None else names)
    sweep = _sweep(options)  # options that contradict one another are told before any file is looked at
    clip, clip_file = clip_of(options.clip)
    files = Files(clip=clip_file, weights=options.weights)
    known = bool(data_roots(options.data_root))
    request = Request(
        methods=methods,
        benchmarks=tuple(options.benchmarks or (["pascal-5i"] if known else ["shapes-5i"])),
        folds=None if options.folds is None else tuple(dict.fromkeys(options.folds)),
        seeds=tuple(dict.fromkeys(options.seeds)),
        clip=clip,
        setting=options.setting,
        scale=options.scale,
        part=options.part,
        protocol=options.protocol,
        templates=options.templates,
        recipe=options.recipe,
        readings=read_readings(options.reading, methods),
        overrides=tuple(options.set),
        names=options.class_names,
        training=given(options, TRAINING_SIDE),
        inference=given(options, EVALUATION_SIDE),
        precision=options.precision,
        limit=options.limit,
        ranks=options.ranks,
        accumulate=options.accumulate,
        weights=_weights(options, methods, files),
        sweep=sweep,
        tune_on_test=options.tune_on_test,
        data=data_of(options),
    )
    return request, files


def transfer_of(options: argparse.Namespace) -> Transfer:
    """Finished weights by name, and where to score them."""
    described = (name for name, default in options.training_defaults.items() if getattr(options, name) != default)
    return Transfer(
        runs=tuple(options.run or ()),
        benchmarks=tuple(options.on or ()),
        folds=tuple(options.on_folds or ()),
        described=tuple(described),
    )


def execution_of(options: argparse.Namespace, *, train: bool = True) -> Execution:
    """How to make runs. Raises UserError for an option that the chosen cluster would ignore."""
    return Execution(
        root=options.runs,
        train=train,
        logs=tuple(dict.fromkeys(options.log)),
        resources=dict(given(options, tuple(Resources.model_fields))) | {"slurm": _slurm(options.slurm)},
        **{name: getattr(options, name) for name in EXECUTION},
    )


def selection_of(options: argparse.Namespace) -> Selection:
    """The stored records to look at."""
    return Selection(
        roots=distinct(options.roots),
        methods=methods_named(options.methods or ()),
        benchmarks=tuple(benchmark(name).name for name in options.benchmarks or ()),
        settings=tuple(options.settings or ()),
    )


def folders_of(options: argparse.Namespace) -> tuple[Path, ...]:
    """The folders of runs to look through. Raises UserError for one that is none."""
    for root in options.roots:
        if not root.is_dir():
            raise UserError(f"--from {root}: is no folder of runs")
    return distinct(options.roots)


def data_of(options: argparse.Namespace) -> Data:
    """Where the data lie, and how much of them may be missing."""
    return Data(root=options.data_root, subset=options.subset, year=options.year or "")


def given(options: argparse.Namespace, names: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """The options of these names that were given, with their values."""
    return tuple((name, getattr(options, name)) for name in names if getattr(options, name) is not None)


def clip_of(text: str | None) -> tuple[ClipId | None, Path | None]:
    """What `--clip` names, and the file where it is one; raises UserError for what it cannot be."""
    if text is None:
        return None, None
    model, slash, weights = text.partition("/")
    if not slash or not model or not weights:
        raise UserError(f"--clip {text}: expected MODEL/TAG (ViT-B-16/openai) or MODEL/path/to/weights")
    path = Path(weights).expanduser()
    try:
        if path.is_dir() and "/" in weights:  # a folder of one name may be called as a tag is
            path = weights_at(path)
        if path.is_file():
            if not has_weight_ending(path):
                raise UserError(f"--clip {text}: {path.name} ends in none of {', '.join(ENDINGS)}, as CLIP weights do")
            refused_by_kind(path, "--clip")
            return _of_a_file(model, path), path.absolute()  # a hub's folder links to files elsewhere
    except (OSError, ValueError) as error:
        raise UserError(f"--clip {text}: {error}") from None
    if has_weight_ending(path):
        raise UserError(f"--clip {text}: there is no file {path}")
    return ClipId(model=model, pretrained=weights), None


def _of_a_file(model: str, path: Path) -> ClipId:
    return ClipId(model=model, pretrained="file", sha256=file_sha256(path), config_sha256=config_sha256(path))


def _weights(options: argparse.Namespace, methods: tuple[str, ...], files: Files) -> str:
    if files.weights is None:
        return ""
    if not files.weights.is_file():
        raise UserError(f"--weights {files.weights}: {no_file_words(files.weights)}")
    refused_by_kind(files.weights, "--weights")
    elsewhere = hasattr(options, "on") and names_training(transfer_of(options), files)
    if len(methods) != 1 and not elsewhere:
        raise UserError(
            "--weights: these are the weights of one method; name it with --methods (the file does not tell it: "
            "released checkpoints of ZegCLIP and of OTSeg have the same tensors)"
        )
    return file_sha256(files.weights)


def _sweep(options: argparse.Namespace) -> tuple[Overrides, ...]:
    """The settings that are swept over; empty without a sweep."""
    swept = options.sweep or options.sweep_file
    if options.tune_on_test and not (swept or getattr(options, "drawn", None)):
        raise UserError("--tune-on-test belongs to a sweep; nothing else is compared on what it is scored on")
    if swept and options.weights:
        raise UserError("--sweep changes training, --weights brings finished weights; leave one out")
    return settings_of(options.sweep, options.sweep_file)


def _slurm(texts: Sequence[str]) -> dict[str, str]:
    """Further options of sbatch, each given as KEY=VALUE."""
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--slurm {text}: expected KEY=VALUE, a long option of sbatch and its value")
        values[key] = value
    return values

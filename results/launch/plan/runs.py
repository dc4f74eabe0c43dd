"""The plan: which runs a request comes down to. Imports no torch. Start reading at `plan`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from benchmarks.catalogue import (
    BENCHMARKS,
    BUILTIN,
    Benchmark,
    Scale,
    benchmark,
    builtin_clip,
    eval_side,
    source,
    train_side,
)
from benchmarks.open_vocabulary import named
from benchmarks.protocol import DataSource, EvalSide, Inference, TrainSide
from benchmarks.recipes import NOTHING
from benchmarks.spec import ClipId, EvalSpec, Recipe, TrainSpec, protocol_of
from methods.registry import LISTED_BY, METHODS, entry
from results.launch.plan.checks import check_numbers, check_scoring, check_year, is_test
from results.launch.plan.readings import reading_of
from results.launch.plan.request import Request, Run
from results.launch.plan.settings import check_overrides, check_shares, settings_for
from results.launch.plan.sweeps import expanded
from splits.errors import UserError
from splits.near import suggestion


def methods_named(names: Sequence[str]) -> tuple[str, ...]:
    """Method names with `all` and `ablation:<method>` expanded; raises UserError for an unknown one."""
    chosen: list[str] = []
    groups = {e.group for e in METHODS.values()}
    for name in names:
        group = "comparison" if name == "all" else name
        if group in groups:
            chosen += [method for method, e in METHODS.items() if e.group == group]
        elif name in METHODS:
            chosen.append(name)
        else:
            known = [*METHODS, "all", *sorted(g for g in groups if g != "comparison")]
            raise UserError(f"no method is called {name!r}; {suggestion(name, known, listed_by=LISTED_BY)}")
    return tuple(dict.fromkeys(chosen))


def plan(request: Request) -> list[Run]:
    """Every run of a request, in a stable order: benchmark, seed, fold, method; of a sweep, setting by setting."""
    if request.sweep:
        check_overrides(request.sweep[0], request.methods, option="--sweep")  # all settings are of the same fields
        every = (run for one in expanded(request) for run in plan(one))
        return list({(run.train.digest(), run.evaluation.digest()): run for run in every}.values())
    benches = [benchmark(name) for name in dict.fromkeys(request.benchmarks)]
    check_overrides(request.overrides, request.methods)
    check_shares(request)
    check_year(request.benchmarks, request.data.year)
    return [run for bench in benches for run in _plan_of(bench, request)]


def _plan_of(bench: Benchmark, request: Request) -> list[Run]:
    """The runs of one benchmark. What all seeds share is worked out once: grids have thousands of runs."""
    scale = scale_of(bench, request.clip, request)
    folds = request.folds if request.folds is not None else tuple(f.index for f in bench.split.folds)
    evaluations = {e.fold: e for e in evaluations_of(bench, folds, scale, request)}
    settings = {method: _settings(bench, method, scale, request) for method in request.methods}
    trains = not request.weights and any(recipe.iterations for _, recipe in settings.values())
    sides = _train_sides(bench, folds, request, read=trains)
    runs = []
    for seed, fold, method in product(request.seeds, folds, request.methods):
        config, recipe = settings[method]
        train = TrainSpec(
            method=method,
            config=config,
            benchmark=bench.name,
            fold=fold,
            seed=seed,
            side=sides[fold],
            clip=_clip(method, request.clip),
            recipe=recipe,
            weights=request.weights,
            reading=_reading(method, recipe, request),
            limit=request.limit,
        )
        runs.append(Run(train, evaluations[fold]))
    for run in {run.train.fold: run for run in runs}.values():
        protocol_of(run.train, run.evaluation)  # refuses what cannot be measured before anything is trained
    return runs


def _settings(bench: Benchmark, method: str, scale: Scale, request: Request) -> tuple[dict[str, Any], Recipe]:
    """Config and recipe; raises UserError where the method would be trained on a benchmark without training images."""
    if not bench.split.has_train and entry(method).trained and not request.weights:
        _refuse_training(bench, method)
    config, recipe = settings_for(method, bench.name, scale, request)
    if not bench.split.has_train and recipe.iterations:  # a floor that counts labels
        _refuse_training(bench, method)
    return config, recipe


def _reading(method: str, recipe: Recipe, request: Request) -> str:
    found = reading_of(method, request.readings)
    return found.name if found and recipe.name != NOTHING else ""


def _train_sides(bench: Benchmark, folds: Sequence[int], request: Request, *, read: bool) -> dict[int, TrainSide]:
    """What is trained on in each fold. read: False where weights are there already, or nothing is trained."""
    data, choices = source(bench, "train", request.data, read=read), dict(request.training)
    return {
        fold: train_side(
            bench,
            fold,
            data,
            request.setting,
            request.templates,
            names=request.names,
            choices=choices,
            protocol=request.protocol,
        )
        for fold in folds
    }


def _refuse_training(bench: Benchmark, method: str) -> None:
    raise UserError(
        f"{method} learns from training images, and {bench.name} has none: take methods that train nothing (clip, "
        f"training-free), or score finished weights there: `eval --run KEY --on {bench.name}`"
    )


def evaluations_of(bench: Benchmark, folds: Sequence[int], scale: Scale, request: Request) -> list[EvalSpec]:
    """How each fold is scored. Raises UserError for a part or a choice that the benchmark has not."""
    if request.part not in bench.parts:
        tune = f"; to tune on, give --benchmarks {bench.name}-tune" if f"{bench.name}-tune" in BENCHMARKS else ""
        raise UserError(f"{bench.name} has no part {request.part!r}; it has: {', '.join(bench.parts)}{tune}")
    check_numbers(request)
    check_scoring(bench, dict(request.inference))
    usual = named(request.protocol).inference(bench.name) if request.protocol else bench.inference_at(scale)
    data, sizes = source(bench, request.part, request.data), _inference(usual, request)
    return [
        EvalSpec(
            benchmark=bench.name,
            fold=fold,
            part=request.part,
            side=_evaluation(_asked(bench, fold, data, sizes, request), request),
            limit=request.limit,
            precision=request.precision,
            tuned_on_test=request.tune_on_test and is_test(bench, request.part),
        )
        for fold in folds
    ]


def _asked(bench: Benchmark, fold: int, data: DataSource, sizes: Inference, request: Request) -> EvalSide:
    return eval_side(bench, fold, data, sizes, request.templates, names=request.names, protocol=request.protocol)


def _clip(method: str, clip: ClipId | None) -> ClipId | None:
    return None if entry(method).needs == "nothing" else clip or builtin_clip()


def default_scale(bench: Benchmark, clip: ClipId | None) -> Scale:
    """Photos under the built-in CLIP are run at a size that it can see."""
    builtin = clip is None or clip.pretrained == BUILTIN
    return "trial" if bench.photos and builtin and bench.trial is not None else "native"


def scale_of(bench: Benchmark, clip: ClipId | None, request: Request) -> Scale:
    """At which scale a benchmark is scored with a CLIP; raises UserError for one beside a protocol's own sizes."""
    if request.protocol and request.scale == "trial":
        raise UserError(f"--protocol {request.protocol} has sizes of its own; leave --scale trial out")
    return "native" if request.protocol else request.scale or default_scale(bench, clip)


def _inference(inference: Inference, request: Request) -> Inference:
    changes = {name: value for name, value in request.inference if name in Inference.model_fields}
    return Inference.parse(inference.model_dump() | changes, source="the evaluation asked for")


def _evaluation(side: EvalSide, request: Request) -> EvalSide:
    changes = {name: value for name, value in request.inference if name in EvalSide.model_fields}
    if side.softmax is not None and "background_below" in changes and "background" not in changes:
        changes["softmax"] = side.softmax.model_dump() | {"threshold": changes.pop("background_below")}
    return EvalSide.parse(side.model_dump() | changes, source="the evaluation asked for")

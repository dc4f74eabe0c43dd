"""What a run is trained with: the method's config and the recipe, `--set` and its like applied. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.recipes import NOTHING, imported, recipe_for
from benchmarks.spec import Recipe, TrainSpec
from benchmarks.values import explain
from methods.config import MethodConfig
from methods.registry import config_class, entry
from results.launch.plan import body_weights as bodies
from results.launch.plan.readings import reading_of
from results.launch.plan.request import Request
from splits.errors import UserError
from splits.near import suggestion

RECIPE_NAMESPACE = "recipe"
CHANGED = "changed "  # before the name of a recipe that is not as its author has it


def config_for(method: str, overrides: Sequence[str], values: Mapping[str, Any]) -> MethodConfig:
    """A method's full config: these values, and what `--set` says of it. Raises UserError for what is not there."""
    check_overrides(overrides, (method,))
    said = {field: _plain(text) for owner, field, text in map(_split, overrides) if owner == method}
    return _validated(method, {**values, **said})


def config_of(spec: TrainSpec) -> MethodConfig:
    """The method's full config of a spec."""
    return _validated(spec.method, dict(spec.config))


def settings_for(method: str, bench: str, scale: str, request: Request) -> tuple[dict[str, Any], Recipe]:
    """Config values that differ from the method's defaults, and the recipe, overrides applied."""
    recipe, values = recipe_for(method, bench, scale, request.recipe)
    known, listed = config_class(method).model_fields, entry(method)
    if reading := reading_of(method, request.readings):
        values |= reading.constants
    values |= listed.fixed
    changes: dict[str, Any] = {}
    for override in request.overrides:
        owner, field, text = _split(override)
        if owner == RECIPE_NAMESPACE and recipe.name != NOTHING:
            changes[field] = _plain(text)
        elif owner == method:
            values[field] = _plain(text)
    if "setting" in known:
        values["setting"] = request.setting
    elif request.setting != "inductive" and recipe.name != NOTHING:
        raise UserError(f"{method} has no setting {request.setting!r}; it is inductive")
    full = _validated(method, values)
    bodies.check(method, bench, full)
    config = full.model_dump(mode="json", exclude_defaults=True)
    if changes:
        source = f"--set {' '.join(f'{RECIPE_NAMESPACE}.{k}={v}' for k, v in changes.items())}"
        fields = recipe.model_dump(mode="json") | changes
        recipe = Recipe.parse(fields | {"name": f"{CHANGED}{recipe.name}"}, source=source)
        _check_schedule(recipe, source)
    if request.weights:
        return config, imported(recipe)
    if recipe.name != NOTHING:
        recipe = _shared(recipe, f"{method} trains on {bench}", request)
        if recipe.accumulate > 1 and listed.averaging(full).apart and not recipe.name.startswith(CHANGED):
            recipe = recipe.model_copy(update={"name": f"{CHANGED}{recipe.name}"})  # no whole batch's gradients
    share = getattr(full, "self_training_from", 0.0)
    if request.setting.startswith("transductive") and share and "restart_at" not in changes:
        # released ZegCLIP: the first half of the schedule, then half as many iterations with a fresh one
        recipe = recipe.model_copy(update={"restart_at": math.ceil(share * recipe.iterations)})
    return config, recipe


def _check_schedule(recipe: Recipe, source: str) -> None:
    """Raise UserError for a schedule that trains nothing, ends above its rate, or restarts after its end."""
    if not recipe.iterations:
        raise UserError(f"{source}: expected at least 1 iteration; `random` and `constant` score what is not trained")
    if recipe.min_lr > recipe.lr:
        raise UserError(f"{source}: the rate would rise from {recipe.lr:g} to min_lr {recipe.min_lr:g}; give both")
    if recipe.restart_at is not None and recipe.restart_at > recipe.iterations:
        raise UserError(f"{source}: restart_at {recipe.restart_at} is after the last of {recipe.iterations} iterations")


def _shared(recipe: Recipe, who: str, request: Request) -> Recipe:
    """The recipe with its batches shared by the ranks of the request, and each share cut into micro-batches."""
    if recipe.batch % request.ranks:
        raise UserError(
            f"--ranks {request.ranks}: {who} with batches of {recipe.batch}, which so many cannot share equally"
        )
    share = recipe.batch // request.ranks
    if share % request.accumulate:
        of_a_rank = f", {share} images on each of {request.ranks} ranks" if request.ranks > 1 else ""
        raise UserError(
            f"--accumulate {request.accumulate}: {who} with batches of {recipe.batch}{of_a_rank}, which cannot be cut "
            "into so many equal micro-batches"
        )
    shares = {"ranks": request.ranks, "accumulate": request.accumulate}
    return recipe.model_copy(update={name: value for name, value in shares.items() if value > 1})


def _validated(method: str, values: dict[str, Any]) -> MethodConfig:
    cls = config_class(method)
    if unknown := sorted(values.keys() - cls.model_fields.keys()):
        raise UserError(f"{method} has no setting {unknown[0]!r}; {suggestion(unknown[0], cls.model_fields)}")
    try:
        return cls.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise UserError(f"{method}: {explain(error)}") from None


def check_overrides(overrides: Sequence[str], methods: Sequence[str], option: str = "--set") -> None:
    """Raise UserError for an override of what is not run, is not there, or has an option of its own.

    option: what brought them, for messages.
    """
    owners = {*methods}
    if any(entry(method).trained for method in methods):
        owners.add(RECIPE_NAMESPACE)
    for override in overrides:
        said = f"{option} {override}"
        if "." not in override.partition("=")[0]:
            raise UserError(f"{said}: expected METHOD.SETTING=VALUE{_whole_names(override, sorted(owners))}")
        owner, field, _ = _split(override, option)
        if owner not in owners:
            raise UserError(f"{said}: {owner!r} is none of what is run; {suggestion(owner, sorted(owners))}")
        fields = _fields(owner)
        if field not in fields:
            raise UserError(f"{said}: {owner} has no setting {field!r}; {suggestion(field, fields)}")
        if owner == RECIPE_NAMESPACE and field in ("ranks", "accumulate"):
            raise UserError(f"{said}: use --{field}")
        if owner != RECIPE_NAMESPACE and field == "setting":
            raise UserError(f"{said}: the setting belongs to the protocol; use --setting")
        if owner != RECIPE_NAMESPACE and field in entry(owner).fixed:
            raise UserError(f"{said}: {field} is what makes it {owner}; choose another method instead")


def _fields(owner: str) -> list[str]:
    """The settings of a method, or of the recipe."""
    fields = Recipe.model_fields if owner == RECIPE_NAMESPACE else config_class(owner).model_fields
    return [field for field in fields if field != "name"]


def _whole_names(override: str, owners: Sequence[str]) -> str:
    """How an override without its owner is written, where an owner of such a setting is run."""
    field, _, text = override.partition("=")
    whole = [f"{owner}.{field}={text or 'VALUE'}" for owner in owners if field in _fields(owner)]
    return f": write {' or '.join(whole)}" if whole else ""


def check_shares(request: Request) -> None:
    """Raise UserError where there is no training whose batches could be shared or cut."""
    if not request.weights and any(entry(method).trained for method in request.methods):
        return
    if request.ranks > 1:
        raise UserError(f"--ranks {request.ranks}: nothing is trained here; ranks share the batches of a training")
    if request.accumulate > 1:
        raise UserError(
            f"--accumulate {request.accumulate}: nothing is trained here; it cuts the batches of a training"
        )


def _split(override: str, option: str = "--set") -> tuple[str, str, str]:
    target, equals, text = override.partition("=")
    owner, dot, field = target.partition(".")
    if not (equals and dot and owner and field):
        raise UserError(f"{option} {override}: expected METHOD.SETTING=VALUE or recipe.SETTING=VALUE")
    return owner, field, text


def _plain(text: str) -> Any:
    """A value as JSON where it is JSON, else the text itself."""
    try:
        return TypeAdapter(Any).validate_json(text)
    except ValidationError:
        return text

"""The name and place of each row: the method's label, in brackets the settings in which rows of one label differ.

A recipe is part of the name only where rows of one method have several; elsewhere it stands in a column of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.recipes import IMPORTED
from results.store.identity import IDENTITY, TABLE, by_identity, key_of
from results.tables.aggregate import tidy
from results.tables.content import Content, method_rank

SHORT = 12  # letters of a hash under a table


def row_names(frame: pd.DataFrame) -> list[str]:
    """The label of each row, short of its recipe; rows of one label get in brackets the settings in which they differ.

    A setting at its default and a limit that is none stay unsaid.
    """
    rows = frame.to_dict("records")
    labels = _labels(rows)
    return [with_settings(*of) for of in zip(labels, differing(labels, [_settings(row) for row in rows]), strict=True)]


def differing(labels: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each row the settings that another row of its label does not have, or has otherwise, by name."""
    for label, own in zip(labels, settings, strict=True):
        rivals = [other for other_label, other in zip(labels, settings, strict=True) if other_label == label]
        yield {key: own[key] for key in sorted(own) if any(other.get(key) != own[key] for other in rivals)}


def with_settings(label: str, settings: Mapping[str, Any]) -> str:
    """A label with settings in brackets."""
    words = ", ".join(f"{key}={plain_setting(value)}" for key, value in settings.items())
    return f"{label} [{words}]" if words else label


def _labels(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Labels without ` (... recipe)` where all rows that are called so then have one recipe's name."""
    short = [_without_recipe(row) for row in rows]
    recipes: dict[str, set[str]] = {}
    for label, row in zip(short, rows, strict=True):
        recipes.setdefault(label, set()).add(recipe_of(row))
    return [s if len(recipes[s]) == 1 else row["label"] for s, row in zip(short, rows, strict=True)]


def _without_recipe(row: Mapping[Any, Any]) -> str:
    said = f"{recipe_of(row)} recipe"
    label = str(row["label"]).removesuffix(f" ({said})")
    return label.replace(f"({said}, ", "(").replace(f"({said}; ", "(")


def recipe_of(row: Mapping[Any, Any]) -> str:
    """The name of a row's recipe."""
    return str(json.loads(row["recipe"])["name"])


def recipe_words(row: Mapping[Any, Any]) -> str:
    """The name of a row's recipe for a column; nothing where nothing was trained here."""
    name = recipe_of(row)
    return "–" if name in ("none", IMPORTED) else name


def _settings(row: Mapping[Any, Any]) -> dict[str, Any]:
    recipe = training_settings(json.loads(row["recipe"]))
    limits = {"limit": row["train_limit"], "eval limit": row["eval_limit"]}
    if limits["limit"] == limits["eval limit"]:
        del limits["eval limit"]
    clip = {"clip": clip_and_weights(row["clip"], row["clip_sha256"])}
    return {**json.loads(row["config"]), **clip, **recipe, **{key: value for key, value in limits.items() if value}}


def training_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe by the names that they have among a row's settings."""
    return {f"recipe.{key}": value for key, value in recipe.items() if key != "name"}


def plain_setting(value: Any) -> str:
    """A setting's value: text as it stands, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def short_names(rows: pd.DataFrame) -> list[str]:
    """The method where only one row has it, else the row's whole name."""
    counts = Counter(rows["method"])
    return [m if counts[m] == 1 else name for m, name in zip(rows["method"], rows["name"], strict=True)]


def clip_and_weights(clip: str, weights: str) -> str:
    """A CLIP with the start of its weights' sha256, unless its name has that already."""
    return clip if not weights or f"@{weights[:8]}" in clip else f"{clip} (weights {weights[:SHORT]})"


def names_of(content: Content) -> dict[tuple[Any, ...], str]:
    """Every variant's name as the content's tables have it, by the values of IDENTITY, in the order of the rows."""
    frame = tidy(runs[0] for runs in by_identity(content.records).values())  # runs of a row share what names it
    frame = in_order(frame.drop(columns="fold"))
    return dict(zip(map(key_of, frame.to_dict("records")), row_names(frame), strict=True))


def in_order(frame: pd.DataFrame, first: str = "") -> pd.DataFrame:
    """Rows in the order of the registry's methods, one of them first; rows of a method by what they differ in."""
    ranked = frame.assign(rank=[-1 if method == first else method_rank(method) for method in frame["method"]])
    order = ["rank", *(name for name in IDENTITY if name not in TABLE), *(["fold"] if "fold" in frame else [])]
    return ranked.sort_values(order, kind="stable", ignore_index=True).drop(columns="rank")

"""How the rows of a table were made, as item and text: CLIP, recipe, settings, shifts, and what is an author's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from pydantic import ValidationError

from benchmarks.recipes import IMPORTED
from benchmarks.spec import Recipe
from benchmarks.values import digest
from methods.idle import idle_fields
from methods.registry import METHODS, config_class
from results.store.identity import VARIANT, key_of, row_key
from results.tables.accumulated import accumulated
from results.tables.content import Content
from results.tables.row_names import clip_and_weights, plain_setting, short_names

UNTRAINED = "nothing trained"


def how_made(content: Content, runs: pd.DataFrame, frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What is to know of rows besides, whatever the columns are; nothing without runs."""
    if not len(runs):
        return
    yield "Ignored pixels", _ignored(runs)
    yield from _made_with(content, runs, frame)
    yield from (_item(line) for line in accumulated(content.records))
    yield from _readings(frame)


def _item(line: str) -> tuple[str, str]:
    item, _, text = line.removesuffix(".").partition(": ")
    return item, text


def _ignored(runs: pd.DataFrame) -> str:
    shares = runs["ignored_pixels"] / (runs["ignored_pixels"] + runs["labelled_pixels"])
    low, high = f"{100 * shares.min():.1f}", f"{100 * shares.max():.1f}"
    return f"{low if low == high else f'{low} to {high}'} % of labelled and ignored ones"


def _made_with(content: Content, runs: pd.DataFrame, frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """CLIP, recipe and seen-score shift, said once where all rows agree, else for each group of rows."""
    rows = each_variant(frame)
    names = short_names(rows)
    clips = [clip_and_weights(*pair) for pair in zip(rows["clip"], rows["clip_sha256"], strict=True)]
    yield "CLIP", _grouped(names, clips)
    yield "Recipe", _grouped(names, _recipes(rows["recipe"]))
    configs = [_chosen(row) for row in rows.to_dict("records")]
    if any(configs):
        yield "Settings off their defaults", _grouped(names, [text or "none" for text in configs], always=True)
    if not content.episodic:  # no class is seen there
        imported = {row_key(r) for r in content.records if r.result.train.predictions}
        made = rows[[key_of(row) not in imported for row in rows.to_dict("records")]]
        if len(made):  # what other systems took off is not known
            yield "Own shift, taken off the seen scores", _grouped(short_names(made), own_shifts(runs, made))


def own_shifts(runs: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Of each row the shifts of all its runs, whichever of them a table shows."""
    shifts: dict[Any, set[float]] = {}
    for run in runs.to_dict("records"):
        shifts.setdefault(key_of(run), set()).add(run["own_shift"])
    return [" / ".join(f"{s:g}" for s in sorted(shifts[key_of(row)])) for row in rows.to_dict("records")]


def _chosen(row: Mapping[Any, Any]) -> str:
    """Settings off their defaults; those left out that make the method what its name says, or that nothing reads."""
    method, settings = row["method"], json.loads(row["config"])
    if method not in METHODS:
        return ", ".join(f"{k}={plain_setting(v)}" for k, v in settings.items())
    fixed, rules = METHODS[method].fixed, METHODS[method].idle
    try:
        idle = idle_fields(rules, config_class(method)(**settings)) if rules else {}
    except ValidationError:  # settings of another version
        idle = {}
    return ", ".join(f"{k}={plain_setting(v)}" for k, v in settings.items() if fixed.get(k) != v and k not in idle)


def _recipes(recipes: Iterable[str]) -> list[str]:
    """Each recipe in words; different ones that read the same get the start of their digest."""
    recipes = list(recipes)
    words = {text: _recipe_words(Recipe.model_validate_json(text)) for text in recipes}
    shared = {w for w, count in Counter(words.values()).items() if count > 1 and w != UNTRAINED}
    return [f"{words[t]} [{digest(json.loads(t))[:8]}]" if words[t] in shared else words[t] for t in recipes]


def _recipe_words(recipe: Recipe) -> str:
    if recipe.name == IMPORTED:
        return "trained elsewhere, not known how"
    if recipe.iterations == 0:
        return UNTRAINED
    shared = f" shared by {recipe.ranks} ranks" if recipe.ranks > 1 else ""
    shared += f" in micro-batches of {recipe.micro_batch}" if recipe.accumulate > 1 else ""
    size = f"{recipe.iterations} iterations of batch {recipe.batch}{shared}, lr {recipe.lr:g}"
    return f"{recipe.name} ({size}, {recipe.precision}{', TF32' if recipe.tf32 else ''})"


def each_variant(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per variant, also where the frame has one per fold."""
    return frame.drop_duplicates(list(VARIANT))


def _grouped(names: Iterable[str], values: Iterable[str], *, always: bool = False) -> str:
    """`value` where there is one (unless `always`), else `value: names; value: names`."""
    groups: dict[str, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        groups.setdefault(value, []).append(name)
    if len(groups) == 1 and not always:
        return next(iter(groups))
    return "; ".join(f"{value}: {', '.join(members)}" for value, members in groups.items())


def _readings(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What of each method is its authors' and what is a reading, as the registry has it."""
    methods = [method for method in dict.fromkeys(frame["method"]) if method in METHODS]
    if methods:
        yield "What is an author's and what our reading", _readings_grouped(methods)


def _readings_grouped(methods: Sequence[str]) -> str:
    groups: dict[str, list[str]] = {}
    for method in methods:
        groups.setdefault(METHODS[method].fidelity, []).append(method)
    return "; ".join(f"{', '.join(members)}: {text}" for text, members in groups.items())

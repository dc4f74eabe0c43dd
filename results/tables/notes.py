"""What must stand under a table so that nobody reads more out of it than is in it: one line per thing to know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.recipes import IMPORTED
from benchmarks.spec import Recipe
from benchmarks.values import digest
from methods.registry import METHODS, config_class
from results.store.data_changes import of_older_data
from results.store.identity import VARIANT
from results.store.provenance import is_stale
from results.store.record import UNSURE, RunRecord
from results.tables.accumulated import accumulated
from results.tables.aggregate import By
from results.tables.content import Content, fold_range
from results.tables.row_names import SHORT, clip_and_weights, plain_setting, short_names
from results.tables.sanity_floor import warnings_of
from results.tables.table import PARTIAL_NOTE, STALE, UNDEFINED
from results.tables.transfers import transferred

UNTRAINED = "nothing trained"
DRAWN = "shapes"  # the data set that the built-in CLIP knows


def notes(content: Content, runs: pd.DataFrame, frame: pd.DataFrame, by: By) -> Iterator[str]:
    """The lines under a table, in a fixed order."""
    yield from measured(content)
    yield _counted(content, runs, frame, by)
    if len(runs):
        yield from _columns_explained(content, frame, by)
        yield _ignored(runs)
        yield from _made_with(content, frame)
    yield from _marks(content, runs, frame)
    yield from _warned(content)
    yield from warnings_of(content.records)
    yield from _of_others(content)
    yield from transferred(content.records)
    yield from _trained_elsewhere(content)
    yield from accumulated(content.records)
    if tuned := sorted({r.result.label for r in content.records if r.result.evaluation.tuned_on_test}):
        yield f"Settings were compared on the scored images themselves (--tune-on-test), no result: {', '.join(tuned)}."
    yield from _incomplete(content, frame, by)
    yield from (f"Conflict: {conflict.words()}." for conflict in content.conflicts)
    yield from _missing(content)
    yield from _readings(frame)


def measured(content: Content) -> Iterator[str]:
    """What every number of a table is: of which benchmark, what it is no evidence of, under which protocol."""
    if content.split.note:
        yield content.split.note
    if content.part not in ("", "val"):
        yield f"Scored on the {content.part} part: not a result."
    if content.split.dataset != DRAWN and any(_built_in(record) for record in content.records):
        yield "Made with the built-in CLIP, which was trained on drawn shapes: on photos these numbers mean nothing."
    if content.protocol is not None:
        yield f"Protocol {content.protocol.family[:SHORT]}: {content.protocol.words()}."
    if content.episodic:
        yield "The class of each item is given: nothing here compares with generalised numbers."


def _built_in(record: RunRecord) -> bool:
    clip = record.result.train.clip
    return clip is not None and clip.pretrained == "builtin"


def _counted(content: Content, runs: pd.DataFrame, frame: pd.DataFrame, by: By) -> str:
    parts, over_folds = [f"{len(runs)} run{'s' * (len(runs) != 1)}"], _over_folds(content, by)
    if content.copies:
        parts.append(f"{content.copies} further cop{'ies' if content.copies > 1 else 'y'} of them counted once")
    if over_folds and len(runs):
        parts.append("each value is the mean of the folds' values")
    if (frame["seeds"] > 1).any():
        of_what = " of the fold means of the seeds with all folds" if over_folds else ""
        parts.append(f"several seeds: mean ± sample sd{of_what}")
    return f"{'; '.join(parts)}."


def _over_folds(content: Content, by: By) -> bool:
    return by != "fold" and len(content.split.folds) > 1


def _columns_explained(content: Content, frame: pd.DataFrame, by: By) -> Iterator[str]:
    if content.episodic:
        yield (
            "mIoU: the IoU of each unseen class of a fold, summed over its items, averaged; FB-IoU: foreground and "
            "background summed over all items of a fold, averaged; both then averaged over folds."
        )
        return
    parts = [
        "hIoU: at the method's own shift of the seen scores",
        "no shift: hIoU without it",
        "oracle shift: hIoU at the best one, chosen on the scored images, so no result",
    ]
    if _over_folds(content, by):
        parts.insert(1, "H of means: the harmonic mean of the mean S and the mean U")
    if frame["hiou_low"].notna().any():
        parts.insert(1, "95 %: its t-interval over seeds")
    yield f"{'; '.join(parts)}."


def _ignored(runs: pd.DataFrame) -> str:
    shares = runs["ignored_pixels"] / (runs["ignored_pixels"] + runs["labelled_pixels"])
    low, high = f"{100 * shares.min():.1f}", f"{100 * shares.max():.1f}"
    return f"Ignored pixels: {low if low == high else f'{low} to {high}'} % of labelled and ignored ones."


def _made_with(content: Content, frame: pd.DataFrame) -> Iterator[str]:
    """CLIP, recipe and seen-score shift, said once where all rows agree, else for each group of rows."""
    rows = _variants(frame)
    names = short_names(rows)
    clips = [clip_and_weights(*pair) for pair in zip(rows["clip"], rows["clip_sha256"], strict=True)]
    yield f"CLIP: {_grouped(names, clips)}."
    yield f"Recipe: {_grouped(names, _recipes(rows['recipe']))}."
    configs = [_chosen(row) for row in rows.to_dict("records")]
    if any(configs):
        yield f"Settings off their defaults: {_grouped(names, [text or 'none' for text in configs], always=True)}."
    if tuned := [text for row in rows.to_dict("records") if (text := _tuned(row))]:
        yield f"Tuned per data set, by their authors on the images they report: {'; '.join(dict.fromkeys(tuned))}."
    if not content.episodic:  # no class is seen there
        yield f"Own shift, taken off the seen scores: {_grouped(names, rows['own_shift'])}."


def _chosen(row: Mapping[Any, Any]) -> str:
    """Settings off their defaults, those left out that make the method what its name says."""
    fixed = METHODS[row["method"]].fixed if row["method"] in METHODS else {}
    settings = json.loads(row["config"])
    return ", ".join(f"{k}={plain_setting(v)}" for k, v in settings.items() if fixed.get(k) != v)


def _tuned(row: Mapping[Any, Any]) -> str:
    """The method with the values of what its authors chose for each data set; empty where there is nothing."""
    method = row["method"]
    fields = METHODS[method].tuned if method in METHODS else ()
    if not fields:
        return ""
    config = config_class(method)(**json.loads(row["config"]))
    return f"{method} ({', '.join(f'{name}={plain_setting(getattr(config, name))}' for name in fields)})"


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
    return f"{recipe.name} ({size}, {recipe.precision})"


def _variants(frame: pd.DataFrame) -> pd.DataFrame:
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


def _marks(content: Content, runs: pd.DataFrame, frame: pd.DataFrame) -> Iterator[str]:
    if frame["partial"].any():
        yield PARTIAL_NOTE
    if frame["stale"].any():
        of_data = runs["run"].isin(_of_changed_data(content))
        for what, which_runs in (
            ("the method's sources", runs["stale"] & ~of_data),
            ("the data", runs["stale"] & of_data),
        ):
            counts = Counter(runs.loc[which_runs, "label"])
            which = ", ".join(f"{label}: {count}" for label, count in sorted(counts.items()))
            if which:
                yield f"{STALE} stale: {what} have changed since (runs of {which})."
    scored = ["miou_unseen"] if content.episodic else ["pacc", "miou_seen", "miou_unseen", "hiou"]
    if len(frame) and frame[frame["seeds"] > 0][scored].isna().any(axis=None):
        yield f"{UNDEFINED} in a row with seeds: undefined, no class of that kind is in the scored images."


def _of_changed_data(content: Content) -> frozenset[str]:
    """Folders of the stale runs whose data have changed: by a later record, or as their sources have not."""
    same = (r.result.train for r in content.records if r.result.train.method in METHODS and not is_stale(r))
    return of_older_data(content.records) | {train.folder for train in same}


def _warned(content: Content) -> Iterator[str]:
    """What records say of their data and inputs, and whose if not all say it."""
    rows: dict[str, set[str]] = {}
    for record in content.records:
        for line in record.result.warnings:
            rows.setdefault(line, set()).add(record.result.label)
    labels = {record.result.label for record in content.records}
    for line, of in rows.items():
        whose = "" if of == labels else f", {', '.join(sorted(of))}"
        yield f"Warning{whose}: {line}."


def _of_others(content: Content) -> Iterator[str]:
    """What was not made here."""
    imported = sorted({r.result.label for r in content.records if r.result.train.predictions})
    if imported:
        yield (
            f"Imported, predictions of other systems scored here: {', '.join(imported)}. What they were trained on, "
            "unseen classes included, is not known: the training side is what was said when they were imported. Where "
            "they came without scores, the columns of other shifts repeat hIoU."
        )


def _trained_elsewhere(content: Content) -> Iterator[str]:
    """What is known of the training of imported weights, where it is not that nothing is wrong with it."""
    found: dict[str, list[str]] = {}
    for record in content.records:
        result = record.result
        if result.contamination not in ("", "none"):
            found.setdefault(result.contamination, []).append(f"{result.label} fold {result.evaluation.fold}")
    for words, runs in sorted(found.items()):
        if words == "unknown":
            yield f"Weights without a card, what they were trained on is unknown: {', '.join(sorted(set(runs)))}."
        elif words == UNSURE:
            yield f"Not known to be clean: {words}, as lists are not at hand: {', '.join(sorted(set(runs)))}."
        else:
            yield f"Contaminated, no zero-shot result: {', '.join(sorted(set(runs)))}: {words}."


def _incomplete(content: Content, frame: pd.DataFrame, by: By) -> Iterator[str]:
    if content.source:
        return  # each fold stands for itself
    folds = tuple(fold.index for fold in content.split.folds)
    parts = [
        f"{row['name']} seed {seed} has fold {fold_range(have)} of {fold_range(folds)}"
        for row in _variants(frame).to_dict("records")
        for seed, have in sorted(row["incomplete"].items())
    ]
    if parts:
        yield f"Incomplete seeds{'' if by == 'fold' else ', not averaged'}: {'; '.join(parts)}."


def _missing(content: Content) -> Iterator[str]:
    groups: dict[tuple[int, str, str], list[str]] = {}
    for run, state in sorted(content.missing.items()):
        key = (run.rank, run.method, " ".join(state.split()))
        groups.setdefault(key, []).append(f"fold {run.fold} seed {run.seed}")
    for (_, method, state), runs in groups.items():
        yield f"Not there: {method} {', '.join(runs)} ({state})."


def _readings(frame: pd.DataFrame) -> Iterator[str]:
    """What of each method is its authors' and what is a reading, as the registry has it."""
    methods = [method for method in dict.fromkeys(frame["method"]) if method in METHODS]
    if methods:
        yield f"What is an author's and what our reading: {_readings_grouped(methods)}."


def _readings_grouped(methods: Sequence[str]) -> str:
    groups: dict[str, list[str]] = {}
    for method in methods:
        groups.setdefault(METHODS[method].fidelity, []).append(method)
    return "; ".join(f"{', '.join(members)}: {text}" for text, members in groups.items())

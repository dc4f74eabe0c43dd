"""What must stand under a table so that nobody reads more out of it than is in it: one line per thing to know."""

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
from results.store.identity import VARIANT, identity, key_of
from results.store.record import UNSURE, RunRecord
from results.tables.accumulated import accumulated
from results.tables.columns import JUDGED
from results.tables.content import CHOSEN, Content, fold_range
from results.tables.inference import ALPHA
from results.tables.row_names import SHORT, clip_and_weights, plain_setting, short_names
from results.tables.sanity_floor import warnings_of
from results.tables.stale_rows import stale_notes
from results.tables.table import HEADERS, PARTIAL_NOTE, SD_NOTE, UNDEFINED
from results.tables.transfers import transferred
from results.tables.verdicts import Family
from results.tables.views import PLACES, By, View
from results.tables.warned import warned

UNTRAINED = "nothing trained"
DRAWN = "shapes"  # the data set that the built-in CLIP knows


def notes(
    content: Content,
    runs: pd.DataFrame,
    frame: pd.DataFrame,
    by: By,
    view: View,
    family: Family | None,
    whole: str = "",
) -> list[str]:
    """The lines under a table, in a fixed order: what nobody may overlook; with `full` everything else, too.

    whole: the method that an ablation takes apart.
    """
    if view.notes == "none":
        return []
    lines = [*measured(content, brief=view.appended), _counted(content, runs, frame, by, family, whole)]
    lines += _of_an_ablation(runs, frame, whole) if whole and len(frame) else ()
    lines += _marks(content, runs, frame)
    lines += warned(record.result for record in content.records)
    lines += warnings_of(content.records, content.locate)
    lines += _of_others(content)
    if tuned := [text for row in _variants(frame).to_dict("records") if (text := _tuned(row))]:
        lines.append(
            f"Tuned per data set, by their authors on the images they report: {'; '.join(dict.fromkeys(tuned))}."
        )
    lines += transferred(content.records)
    lines += _trained_elsewhere(content)
    if tuned := sorted({r.result.label for r in content.records if r.result.evaluation.tuned_on_test}):
        lines.append(
            f"Settings were compared on the scored images themselves (--tune-on-test), no result: {', '.join(tuned)}."
        )
    lines += _rounded(content)
    lines += _incomplete(content, frame, by)
    lines += [f"Conflict: {conflict.words()}." for conflict in content.conflicts]
    lines += _missing(content)
    if view.notes == "short" and not view.appended and not (content.episodic or content.split.open_vocabulary):
        lines += [f"{item}: {text}." for item, text in _columns_asked(view, by, whole)]
    if view.notes == "full":
        lines += [f"{item}: {text}." for item, text in details(content, runs, frame, by, view, whole)]
    return lines


def details(
    content: Content, runs: pd.DataFrame, frame: pd.DataFrame, by: By, view: View, whole: str = ""
) -> Iterator[tuple[str, str]]:
    """What is to know besides, as item and text: columns, how rows were made, what is an author's."""
    if not len(runs):
        return
    if content.protocol is not None and view.notes != "full":
        yield f"Protocol {content.protocol.family[:SHORT]}", content.protocol.words()
    yield from _columns_explained(content, by, view, whole)
    yield from how_made(content, runs, frame)


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


def measured(content: Content, *, brief: bool = False) -> Iterator[str]:
    """What every number of a table is: of which benchmark, what it is no evidence of, under which protocol.

    brief: the protocol's words stand in the appendix.
    """
    if content.split.note:
        yield content.split.note
    if content.part not in ("", "val"):
        yield f"Scored on the {content.part} part: not a result."
    if content.split.dataset != DRAWN and any(_built_in(record) for record in content.records):
        yield "Made with the built-in CLIP, which was trained on drawn shapes: on photos these numbers mean nothing."
    if content.protocol is not None:
        words = content.protocol.words()
        yield f"Protocol {content.protocol.family[:SHORT]}: {words.partition('; ')[0] if brief else words}."
    if content.episodic:
        yield "The class of each item is given: nothing here compares with generalised numbers."


def _built_in(record: RunRecord) -> bool:
    clip = record.result.train.clip
    return clip is not None and clip.pretrained == "builtin"


def _counted(
    content: Content, runs: pd.DataFrame, frame: pd.DataFrame, by: By, family: Family | None, whole: str
) -> str:
    parts, over_folds = [f"{len(runs)} run{'s' * (len(runs) != 1)}"], _over_folds(content, by)
    if content.copies:
        parts.append(f"{content.copies} further cop{'ies' if content.copies > 1 else 'y'} of them counted once")
    if len(runs):
        images = sorted({record.result.images for record in content.records})
        counts = " to ".join(map(str, dict.fromkeys((images[0], images[-1]))))
        parts.append(f"{counts} image{'s' * (counts != '1')}")
    if over_folds and len(runs):
        parts.append("each value is the mean of the folds' values, which are fixed")
    parts += _spread(content, frame, by, family, whole)
    return f"{'; '.join(parts)}."


def _spread(content: Content, frame: pd.DataFrame, by: By, family: Family | None, whole: str) -> Iterator[str]:
    """What stands behind ±, and what is bold."""
    if family is None:
        if content.episodic and (frame["seeds"] > 1).any():
            yield SD_NOTE
        elif len(frame):
            yield (
                "no ± here: `tables` computes it from the counts of single images"
                if not content.episodic
                else "one seed, no ±"
            )
        return
    yield (
        f"±: half the {100 * (1 - ALPHA):g} % interval over images ({family.draws:,} draws) and seeds (t), the root of "
        "the sum of their squares; of one seed over images alone"
    )
    if whole:
        yield f"Δ: the difference of the two hIoU shown, to {whole} at the same seeds"
        if by == "method" and any(verdict.family for verdict in family.verdicts.values()):
            yield f"bold: separated from {whole}, Holm-corrected over all pairs of rows; one seed is not tested"
    elif by == "method" and any(verdict.family for verdict in family.verdicts.values()):
        yield "bold: not separated from the best row, Holm-corrected over all pairs of rows, of those with most seeds"
        headers = HEADERS | ({"miou_seen": HEADERS["miou"]} if content.split.open_vocabulary else {})
        if bare := [headers[metric] for metric in JUDGED if family.is_below_another(metric)]:
            yield f"nothing is bold in {', '.join(bare)}, where a row of other seeds is established above these"
    hidden = len(family.rows) - len(frame)
    if by == "method" and hidden > 0:
        yield (
            f"bold, ranks and chances are those among {len(family.rows)} stored rows"
            f"{f' of the {content.recipe} recipe' if content.recipe else ''}, {hidden} of which not shown"
        )


def _of_an_ablation(runs: pd.DataFrame, frame: pd.DataFrame, whole: str) -> Iterator[str]:
    """What keeps a row from being the whole method with one part less."""
    rows = frame.to_dict("records")
    shifts = list(zip(rows, _own_shifts(runs, frame), strict=True))
    base = dict.fromkeys(shift for row, shift in shifts if row["method"] == whole)
    if others := dict.fromkeys(f"{row['name']} ({shift})" for row, shift in shifts if base and shift not in base):
        yield (
            f"Another own shift than {whole} ({', '.join(base)}): {', '.join(others)}. Their Δ is of the shift, too."
        )
    seeds = {seed for row in rows if row["method"] == whole for seed in row["hiou_of_seed"]}
    if apart := [
        row["name"] for row in rows if seeds and row["method"] != whole and not seeds & {*row["hiou_of_seed"]}
    ]:
        yield f"No seed in common with {whole}: {', '.join(dict.fromkeys(apart))}."


def _over_folds(content: Content, by: By) -> bool:
    return by != "fold" and len(content.split.folds) > 1


def _columns_explained(content: Content, by: By, view: View, whole: str) -> Iterator[tuple[str, str]]:
    if content.episodic:
        yield (
            "mIoU",
            "the IoU of each unseen class of a fold, summed over its items, averaged, then averaged over folds",
        )
        yield "FB-IoU", "foreground and background summed over all items of a fold, averaged, then averaged over folds"
        return
    if content.split.open_vocabulary:
        yield "mIoU", "mean IoU of all classes that are in truth or predictions, background among them where it is one"
        return
    yield "hIoU", "harmonic mean of mIoU(S) and mIoU(U), fold by fold, at the method's own shift of the seen scores"
    yield from _columns_asked(view, by, whole)


def _columns_asked(view: View, by: By, whole: str = "") -> Iterator[tuple[str, str]]:
    """What the columns are that stand there because they were asked for. whole: of the table of an ablation."""
    explained = {
        "h-of-means": ("H of means", "the harmonic mean of the mean S and the mean U"),
        "no-shift": ("No shift", "hIoU without a shift of the seen scores"),
        "oracle-shift": ("Oracle shift", "hIoU at the best shift, chosen on the scored images, so no result"),
        "sd": ("sd over seeds", f"sample sd of hIoU over the seeds{'' if by == 'fold' else ' with all folds'}"),
        "rank": ("Rank", "places in hIoU that the verdicts of the family leave, 95 % for all rows at once"),
        "first": ("First", "probability of the highest hIoU, over images and seeds; rows of several seeds"),
    }
    absent = (PLACES if by == "fold" or whole else frozenset()) | ({"h-of-means"} if by == "fold" else frozenset())
    yield from (explained[name] for name in view.columns if name in explained and name not in absent)


def _ignored(runs: pd.DataFrame) -> str:
    shares = runs["ignored_pixels"] / (runs["ignored_pixels"] + runs["labelled_pixels"])
    low, high = f"{100 * shares.min():.1f}", f"{100 * shares.max():.1f}"
    return f"{low if low == high else f'{low} to {high}'} % of labelled and ignored ones"


def _made_with(content: Content, runs: pd.DataFrame, frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """CLIP, recipe and seen-score shift, said once where all rows agree, else for each group of rows."""
    rows = _variants(frame)
    names = short_names(rows)
    clips = [clip_and_weights(*pair) for pair in zip(rows["clip"], rows["clip_sha256"], strict=True)]
    yield "CLIP", _grouped(names, clips)
    yield "Recipe", _grouped(names, _recipes(rows["recipe"]))
    configs = [_chosen(row) for row in rows.to_dict("records")]
    if any(configs):
        yield "Settings off their defaults", _grouped(names, [text or "none" for text in configs], always=True)
    if not content.episodic:  # no class is seen there
        imported = {key_of(identity(r)) for r in content.records if r.result.train.predictions}
        made = rows[[key_of(row) not in imported for row in rows.to_dict("records")]]
        if len(made):  # what other systems took off is not known
            yield "Own shift, taken off the seen scores", _grouped(short_names(made), _own_shifts(runs, made))


def _own_shifts(runs: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
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
    return f"{recipe.name} ({size}, {recipe.precision}{', TF32' if recipe.tf32 else ''})"


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
        yield from stale_notes(content.records, frozenset(runs.loc[runs["stale"], "run"]))
    scored = ["miou_unseen"] if content.episodic else ["pacc", "miou_seen", "miou_unseen", "hiou"]
    scored = ["pacc", "miou_seen"] if content.split.open_vocabulary else scored
    if len(frame) and frame[frame["seeds"] > 0][scored].isna().any(axis=None):
        yield f"{UNDEFINED} in a row with seeds: undefined, no class of that kind is in the scored images."


def _of_others(content: Content) -> Iterator[str]:
    """What was not made here."""
    imported = sorted({r.result.label for r in content.records if r.result.train.predictions})
    if imported:
        yield (
            f"Imported, predictions of other systems scored here: {', '.join(imported)}. What they were trained on, "
            "unseen classes included, is not known: the training side is what was said when they were imported. Where "
            "they came without scores, there is no other shift than their own."
        )


def _rounded(content: Content) -> Iterator[str]:
    """Whose scores come of a forward pass of less than float32."""
    if rounded := sorted({r.result.label for r in content.records if r.result.evaluation.precision != "float32"}):
        yield f"Forward pass of less than float32, so that close scores may change places: {', '.join(rounded)}."


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
        shown = "" if by == "fold" else ", not averaged (`tables --by fold` shows them)"
        yield f"Incomplete seeds{shown}: {'; '.join(parts)}."


def _missing(content: Content) -> Iterator[str]:
    groups: dict[tuple[int, str, str], list[str]] = {}
    trained = {record.result.train.recipe.name for record in content.records}
    for run, state in sorted(content.missing.items()):
        other = f" ({run.recipe} recipe)" if trained and run.recipe in CHOSEN - trained else ""
        key = (run.rank, f"{run.method}{other}", " ".join(state.split()))
        groups.setdefault(key, []).append(f"fold {run.fold} seed {run.seed}")
    for (_, method, state), runs in groups.items():
        yield f"Not there: {method} {', '.join(runs)} ({state})."


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

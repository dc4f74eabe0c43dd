"""What must stand under a table so that nobody reads more out of it than is in it: one line per thing to know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from methods.registry import METHODS, config_class
from results.store.record import UNSURE, RunRecord
from results.tables.columns import JUDGED
from results.tables.content import CHOSEN, Content, fold_range
from results.tables.how_made import each_variant, how_made, own_shifts
from results.tables.inference import ALPHA
from results.tables.row_names import SHORT, plain_setting
from results.tables.sanity_floor import warnings_of
from results.tables.stale_rows import stale_notes
from results.tables.table import HEADERS, PARTIAL_NOTE, SD_NOTE, UNDEFINED
from results.tables.transfers import transferred
from results.tables.verdicts import Family
from results.tables.views import PLACES, By, View
from results.tables.warned import warned

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
    if tuned := [text for row in each_variant(frame).to_dict("records") if (text := _tuned(row))]:
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
    shifts = list(zip(rows, own_shifts(runs, frame), strict=True))
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


def _tuned(row: Mapping[Any, Any]) -> str:
    """The method with the values of what its authors chose for each data set; empty where there is nothing."""
    method = row["method"]
    fields = METHODS[method].tuned if method in METHODS else ()
    if not fields:
        return ""
    config = config_class(method)(**json.loads(row["config"]))
    return f"{method} ({', '.join(f'{name}={plain_setting(getattr(config, name))}' for name in fields)})"


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
        for row in each_variant(frame).to_dict("records")
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

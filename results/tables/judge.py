"""What inference adds to the rows of a table: half-widths, ranks, marks, and the verdicts of ablations.

Families are of all rows that are stored, also where a table shows some of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import pandas as pd

from results.store.identity import by_identity, key_of, table_of
from results.store.record import RunRecord
from results.tables.classes_and_costs import Names, by_variant
from results.tables.columns import DELTA, JUDGED
from results.tables.content import Content, gather, parts_of
from results.tables.families import Counted, Stored, family_of
from results.tables.inference import Uncertain
from results.tables.row_names import names_of
from results.tables.verdicts import Family, Memo, Row, row_means
from results.tables.views import By

NOTHING = Uncertain(math.nan, math.nan, math.nan, 0)


class Judge:
    """Families by content and group, made when they are wanted."""

    def __init__(self, read: Counted | None, records: Iterable[RunRecord] = ()):
        """read: None where no counts of single images are at hand: then nothing is judged. records: all of a family."""
        self._read, self._records = read, records
        self._families: dict[tuple[Any, ...], Family] = {}
        self._parts: dict[tuple[str, ...], tuple[dict[str, Content], Names]] = {}  # of each content, with its names
        self._memo = Memo()

    @cached_property
    def _contents(self) -> list[Content]:
        return [content for content in gather(self._records, {}) if content.records]

    def family(self, content: Content, group: str) -> Family | None:
        """The verdicts of one table's rows; None where nothing can be judged."""
        read = self._reads(content)
        if read is None:
            return None
        whole = self._whole(content)
        of = (*_key(whole), whole.recipe)
        key = (*of, group)
        if key not in self._families:
            if of not in self._parts:
                self._parts[of] = (parts_of(whole), names_of(whole))
            parts, names = self._parts[of]
            part = parts.get(group, content)
            variants = by_variant(part.records, names)
            self._families[key] = family_of(part, variants, read, memo=self._memo)
        return self._families[key]

    def recipe_of(self, content: Content) -> str:
        """The recipe whose rows the family of a content is of, where its benchmark's rows are divided by recipes."""
        return content.recipe if self._reads(content) is None else self._whole(content).recipe

    def _whole(self, content: Content) -> Content:
        """All that is stored of a content that may be a selection; of a selection that is of no recipe, the first."""
        rows = _rows(content)
        for whole in self._contents:
            if _key(whole) == _key(content) and content.recipe in ("", whole.recipe) and rows <= _rows(whole):
                return whole
        return content

    def with_half_widths(
        self, frame: pd.DataFrame, content: Content, folds: tuple[int, ...], family: Family | None
    ) -> pd.DataFrame:
        """An aggregated frame with `<metric>_half` and both parts of its error, at each row's own seeds and folds.

        Other shifts of imported predictions are undefined where those of a run are not known.
        """
        means = [NOTHING_KNOWN] * len(frame)
        read, runs = self._reads(content), by_identity(content.records)
        known = family.at if family and "fold" not in frame else {}
        by_folds: dict[tuple[int, ...], list[Row]] = {}
        for i, row in enumerate(frame.to_dict("records")):
            if read is None:
                break
            over, seeds = ((row["fold"],) if "fold" in row else folds), {int(seed) for seed in row["seed_list"].split()}
            if at := known.get((row["name"], over, tuple(sorted(seeds)))):
                means[i] = dict(at)
                continue
            own = [run for run in runs[key_of(row)] if run.result.train.seed in seeds]
            by_folds.setdefault(over, []).append(Row(str(i), Stored(own, read)))
        for over, rows in by_folds.items():
            for name, found in row_means(rows, over).items():
                means[int(name)] = dict(found)
        for metric in JUDGED:
            frame[f"{metric}_half"] = [of[metric].half() if of[metric].seeds else math.nan for of in means]
            frame[f"{metric}_error_images"] = [of[metric].of_sample for of in means]
            frame[f"{metric}_error_seeds"] = [of[metric].of_seeds for of in means]
        return self._without_other_shifts(frame, content)

    def _without_other_shifts(self, frame: pd.DataFrame, content: Content) -> pd.DataFrame:
        runs = by_identity(content.records)
        for i, row in enumerate(frame.to_dict("records")):
            if any(map(self._has_no_sweep, runs[key_of(row)])):
                for metric in ("hiou_unshifted", "hiou_best"):
                    frame.loc[frame.index[i], [metric, f"{metric}_sd"]] = math.nan
                frame.loc[frame.index[i], "own_shift"] = "–"
        return frame

    def _has_no_sweep(self, run: RunRecord) -> bool:
        """Is it of imported predictions of which no other shift is known?"""
        counts = self._read(run) if self._read and run.result.train.predictions else None
        return counts is not None and not counts.swept

    def _reads(self, content: Content) -> Counted | None:
        if self._read is None or content.episodic or not content.records:
            return None
        first = content.records[0]  # records of one content are of one age; a single old one is an error
        return self._read if self._read(first) is not None else None


def without_error(frame: pd.DataFrame) -> bool:
    """Has a row a value whose error over images is not known?"""
    return any((frame[metric].notna() & frame[f"{metric}_half"].isna()).any() for metric in JUDGED)


NOTHING_KNOWN = dict.fromkeys(JUDGED, NOTHING)


def _key(content: Content) -> tuple[str, ...]:
    return tuple(table_of(content.records[0]).values())


def _rows(content: Content) -> set[tuple[str, str]]:
    return {(r.result.train.method, r.result.train.recipe.name) for r in content.records}


def with_verdicts(frame: pd.DataFrame, family: Family | None, whole: str) -> pd.DataFrame:
    """The frame with what verdicts say of each row's hIoU.

    Of a comparison the places that they leave to it and its probability of being first; of an ablation (`whole` names
    what it takes apart) the half-width of its difference to the whole method, and whether that is established.
    """
    if whole:
        return _with_differences(frame, family, whole)
    family = None if "fold" in frame else family  # places are of means over folds
    known = set(family.competing("hiou")) if family else set()
    known = known if len(known) > 1 else set()  # a row alone has no place
    ranks = [family.ranks(name, "hiou") if family and name in known else (math.nan, math.nan) for name in frame["name"]]
    frame["rank_low"], frame["rank_high"] = [rank[0] for rank in ranks], [rank[1] for rank in ranks]
    first = family.first["hiou"] if family else {}
    return frame.assign(first=[first.get(name, math.nan) for name in frame["name"]])


def _with_differences(frame: pd.DataFrame, family: Family | None, whole: str) -> pd.DataFrame:
    halves, words, base = [], [], ""
    for row in frame.to_dict("records"):
        base = row["name"] if row["method"] == whole else base
        compared = family is not None and not math.isnan(row[DELTA]) and "fold" not in row
        verdict = family.pair(row["name"], base, "hiou") if compared and family else None
        halves.append(verdict.found.by.half() if verdict else math.nan)
        words.append(verdict.words if verdict else "")
    frame[f"{DELTA}_half"] = halves
    return frame.assign(verdict=words)


def bold_of(frame: pd.DataFrame, family: Family | None, by: By, whole: str) -> dict[str, frozenset[str]]:
    """By metric the rows not separated from the best; of an ablation those separated from the whole method."""
    if family is None or by == "fold":
        return {}
    if not whole:
        return {metric: family.not_separated(metric) for metric in JUDGED}
    separated = frame["verdict"].str.startswith(("higher", "lower"))
    return {DELTA: frozenset(frame.loc[separated, "name"])}

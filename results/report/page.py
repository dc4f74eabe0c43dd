"""The report: one HTML file, answers first, then tables, figures, pictures and runs; it loads nothing."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from results.report.answers import answers, asked_of
from results.report.curves import Reading, Readings
from results.report.drawing import Drawing, Drawn
from results.report.error_kinds import error_table
from results.report.group_figures import figures_of
from results.report.looks import Look, looks_of
from results.report.run_table import run_table
from results.report.sheet_note import sheet_doubts
from results.store.confusion import Locate
from results.store.identity import IDENTITY
from results.store.kept_rows import KeptRows
from results.store.record import RunRecord
from results.tables.appendix import appendix
from results.tables.classes_and_costs import Variants, by_variant, class_table, cost_table
from results.tables.content import COMPARISON, Content, gather, parts_of, title_of
from results.tables.families import reader
from results.tables.html import environment, fragment, source
from results.tables.judge import Judge
from results.tables.notes import measured
from results.tables.row_names import names_of
from results.tables.table import STALE, Table
from results.tables.tables import group_table, published_of
from results.tables.views import REPORT_COLUMNS, View

WIDE = 6.0  # inches: wider figures stand alone in their row
TITLE = "Zero-shot segmentation: results"
VIEW = View(("main", "ablations", "published", "appendix"), by=None, columns=REPORT_COLUMNS)


@dataclass(frozen=True)
class Image:
    """A figure on the page, or a picture. It may still be drawn while the page goes on: reading it waits for it."""

    title: str
    note: str
    kind: str  # of its bytes
    drawn: Callable[[], Drawn]

    @property
    def wide(self) -> bool:
        """Does it stand alone in its row?"""
        return self.drawn().width > WIDE

    @property
    def data(self) -> str:
        """Its bytes within an address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.drawn().content).decode()}"


@dataclass
class Page:
    """What the template needs. Figures go to files as they are made, where somebody wants them."""

    figures_to: Path | None = None
    elsewhere: Executor | None = None  # draws the figures meanwhile; None: they are drawn here
    sections: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)  # of each comparison

    def image(self, name: str, title: str, drawing: Drawing, note: str) -> Image:
        """A figure as an image of the page, and as files, where they are wanted; `name` is theirs, without ending."""
        draw = partial(drawing.drawn, None if self.figures_to is None else self.figures_to / name)
        drawn = cache(draw) if self.elsewhere is None else self.elsewhere.submit(draw).result
        return Image(title, note, "image/svg+xml", drawn)


def render(
    records: Sequence[RunRecord],
    locate: Locate,
    *,
    every: Sequence[RunRecord] = (),
    states: Mapping[str, str],
    recipes: Mapping[str, str] | None = None,
    stale: frozenset[str],
    pictures: Sequence[Path] = (),
    figures_to: Path | None = None,
    kept: KeptRows | None = None,
    known: Readings | None = None,
    elsewhere: Executor | None = None,
) -> str:
    """The page of these records. every: all that families of verdicts are of; none: these.

    states: runs without a record, as folder -> state and reason in words; recipes: the names of theirs. kept, known:
    what was taken from the records' counts when they were read. elsewhere: draws the figures meanwhile.
    """
    page, judge = Page(figures_to, elsewhere), Judge(reader(locate, kept), every or records)
    known = known or Readings()
    contents = gather(records, states, locate, recipes=recipes or {})
    looks = _looks(contents)
    for content in contents:
        readings = {} if content.episodic else {id(r): known.of(r, locate(r)) for r in content.records}
        _section(page, content, readings, stale, judge, looks)
    sheets = [_picture(path, records, stale) for path in pictures]
    return _written(page, sheets, f"{len(records)} records{_waiting(states)}.", run_table(records, states, stale))


def _waiting(states: Mapping[str, str]) -> str:
    """How many runs have no record yet, by state."""
    counts = Counter(words.split(":")[0] for words in states.values())
    return "".join(f"; {count} {state}" for state, count in sorted(counts.items()))


def _written(page: Page, pictures: Sequence[Image], lead: str, runs: Table) -> str:
    """The page as HTML."""
    script = source("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=TITLE,
            lead=lead,
            answers=page.answers,
            sections=page.sections,
            pictures=pictures,
            runs=fragment(runs, "runs"),
            style=Markup(source("style.css")),
            script=Markup(script),
            script_sha256=digest,
        )
    )


def _section(
    page: Page,
    content: Content,
    readings: Mapping[int, Reading],
    stale: frozenset[str],
    judge: Judge,
    looks: Mapping[str, Look],
) -> None:
    """One benchmark under one protocol: the comparison, then each ablation, then what was published."""
    number = len(page.sections)
    names = names_of(content)
    blocks: list[dict[str, Any]] = []
    links: list[dict[str, str]] = []
    name = title_of(content, COMPARISON)
    protocol = f", protocol {content.protocol.family[:8]}" if content.protocol else ""
    title = f"{name}{protocol}"
    for group, part in parts_of(content).items():
        main, family = group_table(part, group, VIEW, stale, judge), judge.family(part, group)
        variants = by_variant(part.records, names)
        classes = class_table(part, title_of(part, group), variants, stale)
        asked = asked_of(content)
        shown = figures_of(main, family, classes, variants, readings, looks, asked) if part.records and readings else {}
        images = {kind: page.image(f"{main.label}-{kind}", *of) for kind, of in shown.items()}
        if group == COMPARISON:
            lines = [*answers(main, family, variants, readings, asked), *_of_these_lines(part, main)]
            first = [images.pop("forest")] if "forest" in images else []
            page.answers.append({"title": title, "link": f"s{number}", "lines": lines, "figures": first})
        anchor = f"s{number}-{main.name}"
        links.append({"id": anchor, "title": title_of(part, group)})
        folded = _supplements(part, group, classes, variants, readings, stale)
        blocks.append(_block(title_of(part, group), main, anchor, list(images.values()), folded))
    rest = [*published_of(content, stale), *appendix(content, VIEW, stale)]
    tables = [fragment(table, f"s{number}-{table.name}") for table in rest]
    page.sections.append({"id": f"s{number}", "title": title, "links": links, "blocks": blocks, "tables": tables})


def _looks(contents: Sequence[Content]) -> dict[str, Look]:
    """A look for the short name of every row, the same in all sections; rows of comparisons take theirs first."""
    every = [named for content in contents for named in _short(content)]
    return looks_of(name for _, name in sorted(every, key=lambda of: not of[0]))


def _short(content: Content) -> list[tuple[bool, str]]:
    """The short name of every row, what looks go by, and whether it is one of the comparison."""
    names = names_of(content)
    methods = [key[list(IDENTITY).index("method")] for key in names]
    counts = Counter(methods)
    compared = {r.result.train.method for r in parts_of(content).get(COMPARISON, content).records}
    short = (m if counts[m] == 1 else name for m, name in zip(methods, names.values(), strict=True))
    return [(method in compared, name) for method, name in zip(methods, short, strict=True)]


def _of_these_lines(part: Content, main: Table) -> Iterator[str]:
    """What must be read with the answers where they are copied from the page."""
    if len(part.split.folds) > 1 and not main.long:
        yield "Means over folds, which are fixed: nothing is said of other folds."
    yield from (line for line in measured(part) if not line.startswith("Protocol "))
    yield from (note for note in main.notes if note.startswith(STALE))


def _supplements(
    part: Content,
    group: str,
    classes: Sequence[Table],
    variants: Variants,
    readings: Mapping[int, Reading],
    stale: frozenset[str],
) -> list[Table]:
    """Errors, classes and costs of a group."""
    if not part.records:
        return []
    title = title_of(part, group)
    errors = [error_table(variants, readings, title, stale)] if readings else []
    return [*errors, *classes, *cost_table(part, title, variants, stale)]


def _block(
    heading: str, main: Table, anchor: str, images: Sequence[Image], supplements: Sequence[Table]
) -> dict[str, Any]:
    """A group's table and figures, what is long folded away."""
    folded = [{"title": t.title, "table": fragment(t, f"{anchor}-{t.name}")} for t in supplements]
    table = fragment(main, f"{anchor}-table")
    return {"id": anchor, "heading": heading, "table": table, "figures": images, "folded": folded}


def _picture(path: Path, records: Sequence[RunRecord], stale: frozenset[str]) -> Image:
    text = path.with_suffix(".txt")
    note = text.read_text(encoding="utf-8").strip() if text.exists() else ""
    note = " ".join(filter(None, [*note.splitlines(), sheet_doubts(note, records, stale)]))
    return Image(path.stem, note, "image/png", lambda: Drawn(path.read_bytes(), math.inf))

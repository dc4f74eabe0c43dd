"""The report: one HTML file with tables, figures, pictures and the list of runs, which loads nothing over a network."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from benchmarks.scoring.metrics import REACH
from results.report import figures
from results.report.curves import Reading, mean_losses, mean_near, mean_sweep, read
from results.report.error_kinds import error_table
from results.store.confusion import Locate
from results.store.record import Result, RunRecord
from results.tables.classes_and_costs import Variants, by_variant, class_table, cost_table
from results.tables.content import COMPARISON, Content, gather, parts_of, title_of
from results.tables.families import reader
from results.tables.html import environment, fragment, source
from results.tables.judge import Judge
from results.tables.row_names import names_of, short_names
from results.tables.table import Column, Table
from results.tables.tables import group_table, published_of
from results.tables.views import View

WIDE = 6.0  # inches: wider figures stand alone in their row
TITLE = "Zero-shot segmentation: results"


@dataclass
class Page:
    """What the template needs, and the figures for whoever wants them as files."""

    sections: list[dict[str, Any]] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)  # file name without ending -> figure


def render(
    records: Sequence[RunRecord],
    locate: Locate,
    *,
    states: Mapping[str, str],
    stale: frozenset[str],
    pictures: Sequence[Path] = (),
    figures_to: Path | None = None,
) -> str:
    """The page of these records. states: runs without a record, as folder -> state and reason in words."""
    page, judge = Page(), Judge(reader(locate), records)
    for content in gather(records, states):
        _section(page, content, locate, stale, judge)
    if figures_to is not None:
        for name, figure in page.figures.items():
            figures.save(figure, figures_to, name)
    script = source("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    counts = Counter(words.split(":")[0] for words in states.values())
    waiting = "".join(f"; {count} {state}" for state, count in sorted(counts.items()))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=TITLE,
            lead=f"{len(records)} records{waiting}. A click on a header sorts; fields above long tables filter.",
            summary=page.summary,
            sections=page.sections,
            pictures=[_picture(path) for path in pictures],
            runs=fragment(run_table(records, states, stale), "runs"),
            style=Markup(source("style.css")),
            script=Markup(script),
            script_sha256=digest,
        )
    )


def run_table(records: Sequence[RunRecord], states: Mapping[str, str], stale: frozenset[str]) -> Table:
    """Every run with its score, state, origin and cost; those without a record with their state."""
    rows = [_run(record, stale) for record in records]
    rows += [{"run": folder, "state": words} for folder, words in sorted(states.items())]
    frame = pd.DataFrame(rows, columns=["run", "state", *_NUMBERS, *_TEXTS]).astype(dict.fromkeys(_NUMBERS, float))
    frame = frame.sort_values(["run", "started"], kind="stable", ignore_index=True)
    columns = [Column.text("run", "run"), Column.text("state", "state")]
    columns += [Column.figure(header, name, form) for name, (header, form) in _NUMBERS.items()]
    columns += [Column.text(header, name) for name, header in _TEXTS.items()]
    note = "hIoU, S and U at the method's own shift, in percent. Sources: start of the sha256 of the method's code."
    return Table("Every run", frame, tuple(columns), (note,), None, name="runs")


_NUMBERS = {
    "hiou": ("hIoU", ".2f"),
    "miou_seen": ("S", ".2f"),
    "miou_unseen": ("U", ".2f"),
    "train_seconds": ("training s", ".0f"),
    "eval_seconds": ("scoring s", ".1f"),
    "attempts": ("attempts", ".0f"),
}
_TEXTS = {
    "part": "part",
    "protocol": "protocol",
    "device": "device",
    "host": "host",
    "torch": "torch",
    "commit": "commit",
    "sources": "sources",
    "started": "started",
}


def _run(record: RunRecord, stale: frozenset[str]) -> dict[str, Any]:
    result, origin = record.result, record.provenance.scoring
    marks = ["partial"] * result.partial + ["stale"] * (result.train.folder in stale)
    marks += ["drawn setting"] * result.evaluation.drawn
    own = {name: getattr(result.own, name) for name in ("hiou", "miou_seen", "miou_unseen")}
    return {
        "run": f"{result.train.folder}{_elsewhere(result)}",
        "state": " ".join(["done", *marks]),
        **{name: math.nan if value is None else 100 * value for name, value in own.items()},
        "train_seconds": record.costs.train_seconds,
        "eval_seconds": record.costs.eval_seconds,
        "attempts": origin.attempts,
        "part": result.evaluation.part,
        "protocol": result.protocol_hash[:8],
        "device": origin.device,
        "host": origin.host,
        "torch": origin.packages.get("torch", ""),
        "commit": f"{origin.commit[:8]}{' + changes' if origin.dirty else ''}",
        "sources": record.provenance.sources_sha256[:8],
        "started": origin.started,
    }


def _elsewhere(result: Result) -> str:
    evaluation = result.evaluation
    return f" on {evaluation.benchmark} fold {evaluation.fold}" if evaluation.transferred else ""


def _section(page: Page, content: Content, locate: Locate, stale: frozenset[str], judge: Judge) -> None:
    """One benchmark under one protocol: the comparison, then each ablation, then what was published."""
    number = len(page.sections)
    blocks: list[dict[str, Any]] = []
    readings = {} if content.episodic else {id(r): read(r, locate(r)) for r in content.records}
    names = names_of(content)
    for group, part in parts_of(content).items():
        title = title_of(part, group)
        main = group_table(part, group, View(), stale, judge)
        blocks.append(_block(main, number, len(blocks), heading=title))
        if part.records:
            variants = by_variant(part.records, names)
            (classes,) = class_table(part, title, variants)
            supplements = [classes, *cost_table(part, title, variants)]
            if not content.episodic:
                drawn = _figures(main, classes, variants, readings, stem=f"{number}-{main.name}")
                page.figures |= {name: figure for name, (_, figure, _) in drawn.items()}
                blocks.append({"heading": "", "table": None, "figures": [_image(*shown) for shown in drawn.values()]})
                supplements.insert(0, error_table(variants, readings, title))
                page.summary += _best(main)
            for table in supplements:
                blocks.append(_block(table, number, len(blocks)))
    for table in published_of(content, stale):
        blocks.append(_block(table, number, len(blocks), heading="Published and reproduced"))
    name = title_of(content, COMPARISON)
    protocol = f", protocol {content.protocol.family[:8]}" if content.protocol else ""
    page.sections.append({"id": f"s{number}", "title": f"{name}{protocol}", "blocks": blocks})


def _figures(
    main: Table, classes: Table, variants: Variants, readings: Mapping[int, Reading], stem: str
) -> dict[str, tuple[str, Figure, str]]:
    """The figures of one comparison, as file name -> title, figure, what to know."""
    frame = main.frame[main.frame["name"].isin(variants.keys())]
    short = dict(zip(frame["name"], short_names(frame), strict=True))
    sweeps = {short[name]: mean_sweep([readings[id(r)].sweep for r in runs]) for name, runs in variants.items()}
    own = {short[name]: runs[0].result.own.shift for name, runs in variants.items()}
    errors = {short[name]: np.mean([readings[id(r)].errors for r in runs], axis=0) for name, runs in variants.items()}
    near = {short[name]: mean_near([readings[id(r)] for r in runs]) for name, runs in variants.items()}
    curves = {short[name]: mean_losses(runs) for name, runs in variants.items()}
    scored = frame[frame[["miou_seen", "miou_unseen"]].notna().all(axis=1)]
    every = "Mean over all runs (folds and seeds)."
    found = {
        "calibration": (
            "hIoU over the shift of the seen scores",
            figures.calibration(sweeps, own),
            f"{every} Marked: the method's own shift. Scores differ in scale, so shifts are shares of the widest one "
            "swept. Choosing a shift on these images would be an oracle.",
        ),
        "trade-off": ("Seen against unseen over all shifts", figures.trade_off(sweeps), every),
        "errors": (
            "Which labelled pixels are wrong",
            figures.anatomy(errors, {name: found.errors for name, found in near.items() if found is not None}),
            f"{every} At the method's own shift.{_HATCHED if any(near.values()) else ''}",
        ),
    }
    if len(scored):
        figure = figures.seen_against_unseen(scored, [short[name] for name in scored["name"]])
        note = "Points: mean over folds; bars: sd over seeds; lines: equal hIoU."
        found = {"seen-unseen": ("Seen against unseen", figure, note)} | found
    if any(steps for steps, _ in curves.values()):
        note = f"{every} Methods weigh their losses differently: only shapes compare."
        found["losses"] = ("Training", figures.losses(curves), note)
    found["classes"] = ("IoU of each class", figures.heat_map(classes.frame, short), every)
    return {f"{stem}-{name}": shown for name, shown in found.items()}


_HATCHED = f" Hatched: the part of each kind within {REACH} pixels of a boundary of the truth."


def _best(table: Table) -> list[str]:
    known = [row for row in table.rows() if not math.isnan(row["hiou"]) and not row["partial"]]
    if not known:
        return [f"{table.title}: nothing complete yet"]
    best = max(known, key=lambda row: row["hiou"])
    spread = "" if math.isnan(best["hiou_sd"]) else f" ± {100 * best['hiou_sd']:.2f} over {best['seeds']} seeds"
    return [f"{table.title}: highest hIoU {100 * best['hiou']:.1f}{spread}, {best['name']} ({len(known)} rows)"]


def _block(table: Table, section: int, number: int, heading: str = "") -> dict[str, Any]:
    return {"heading": heading, "table": fragment(table, f"s{section}-{number}"), "figures": []}


def _image(title: str, figure: Figure, note: str) -> dict[str, Any]:
    wide = figure.get_size_inches()[0] > WIDE
    return {"title": title, "wide": wide, "data": _data("image/svg+xml", figures.drawn(figure, "svg")), "note": note}


def _picture(path: Path) -> dict[str, Any]:
    text = path.with_suffix(".txt")
    note = text.read_text(encoding="utf-8") if text.exists() else ""
    return {"title": path.stem, "wide": True, "data": _data("image/png", path.read_bytes()), "note": note}


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

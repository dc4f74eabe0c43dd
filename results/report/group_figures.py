"""Which figures a group of rows has, what each is drawn from, and what is to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.scoring.metrics import REACH
from results.report.answers import beside_best, best_of
from results.report.curves import Reading, Sweep, mean_losses, mean_near, mean_sweep, swept_alike
from results.report.drawing import Drawing
from results.report.looks import Look
from results.tables.classes_and_costs import Variants
from results.tables.row_names import short_names
from results.tables.table import Table
from results.tables.verdicts import Family

Shown = tuple[str, Drawing, str]  # title, figure, what to know


def figures_of(
    main: Table,
    family: Family | None,
    classes: Sequence[Table],
    variants: Variants,
    readings: Mapping[int, Reading],
    looks: Mapping[str, Look],
    asked: tuple[str, str],
) -> dict[str, Shown]:
    """The figures of one group, by kind; those of means over folds where there are any, of shifts where any class is
    unseen."""
    frame = main.frame[main.frame["name"].isin(variants.keys())].drop_duplicates("name")
    short = dict(zip(frame["name"], short_names(frame), strict=True))
    swept = {short[name]: [readings[id(r)].sweep for r in runs] for name, runs in variants.items()}
    sweeps = {name: mean_sweep(of) for name, of in swept.items()}
    own = {short[name]: runs[0].result.own.shift for name, runs in variants.items()}
    every = "Mean over all runs (folds and seeds)."
    found = _differences(main, family, short, looks, asked)
    scored = frame[frame[["miou_seen", "miou_unseen"]].notna().all(axis=1)]
    if len(scored) and "fold" not in frame:
        shown = scored.filter(regex=r"^miou_(seen|unseen)(_half)?$")
        drawing = Drawing("seen_against_unseen", (shown, [short[name] for name in scored["name"]], looks))
        found["seen-unseen"] = ("Seen against unseen", drawing, "Bars: half-widths as in the table; lines: equal hIoU.")
    if any(np.isfinite(sweep.hiou).any() for sweep in sweeps.values()):
        every_swept = f"{every}{_left_out(swept)}"
        found["calibration"] = (
            "hIoU over the shift of the seen scores",
            Drawing("calibration", (sweeps, own, looks)),
            f"{every_swept} Marked: the method's own shift. Scores differ in scale, so shifts are shares of the widest "
            "one swept. Choosing a shift on these images would be an oracle.",
        )
        note = f"{every_swept} Marked: the own shift."
        found["trade-off"] = ("Seen against unseen over all shifts", Drawing("trade_off", (sweeps, own, looks)), note)
    found |= _of_errors(variants, short, readings)
    curves = {short[name]: mean_losses(runs) for name, runs in variants.items()}
    if any(steps for steps, _ in curves.values()):
        note = f"{every} Methods weigh their losses differently: only shapes compare."
        found["losses"] = ("Training", Drawing("losses", (curves, looks)), note)
    (iou,) = classes
    found["classes"] = ("IoU of each class", Drawing("heat_map", (iou.frame, short)), every)
    return found


def _left_out(swept: Mapping[str, Sequence[Sweep]]) -> str:
    """Which runs a mean over all of a row is without: curves over other shifts have no point in common."""
    found = [f"{left} of {len(of)} of {name}" for name, of in swept.items() if (left := len(of) - len(swept_alike(of)))]
    return f" Left out, swept over other shifts: {', '.join(found)}." if found else ""


def _differences(
    main: Table, family: Family | None, short: Mapping[str, str], looks: Mapping[str, Look], asked: tuple[str, str]
) -> dict[str, Shown]:
    metric, header = asked
    best = best_of(main, metric)
    others = beside_best(main, family, best, metric)
    if not others or best not in short:
        return {}
    rows = [(short[of.name], *of.points, of.established) for of in others]
    tested = [of.established is not None for of in others]
    note = "Bars: the 95 % interval over images alone: one seed in common, nothing is tested."
    if any(tested):
        note = (
            "Bars: the 95 % interval over images and seeds. Filled: established, Holm-corrected over all stored rows."
        )
    if any(tested) and not all(tested):
        note += " Rows with one seed in common: over images alone, not tested."
    drawing = Drawing("forest", (rows, short[best], header, looks))
    return {"forest": (f"{header} beside {short[best]}", drawing, note)}


def _of_errors(variants: Variants, short: Mapping[str, str], readings: Mapping[int, Reading]) -> dict[str, Shown]:
    errors = {short[name]: np.mean([readings[id(r)].errors for r in runs], axis=0) for name, runs in variants.items()}
    near = {short[name]: mean_near([readings[id(r)] for r in runs]) for name, runs in variants.items()}
    drawing = Drawing("anatomy", (errors, {name: found.errors for name, found in near.items() if found is not None}))
    note = f"Mean over all runs (folds and seeds). At the method's own shift.{_HATCHED if any(near.values()) else ''}"
    return {"errors": ("Which labelled pixels are wrong", drawing, note)}


_HATCHED = f" Hatched: the part of each kind within {REACH} pixels of a boundary of the truth."

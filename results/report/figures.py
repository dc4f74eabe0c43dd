"""Figures of the report and of papers, drawn from numbers alone. Drawn twice, they come out byte for byte the same."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.scoring.metrics import harmonic
from results.report.curves import ERRORS, Sweep
from results.report.looks import Look
from results.store.files import write_atomically

Looks = Mapping[str, Look]
KINDS = ("#D55E00", "#0072B2", "#E69F00", "#56B4E9")  # of errors
LONGEST = 36  # letters of a name in a figure
LABELLED = 12  # lines that are labelled at their ends; more get a legend
# fixed ids and outlines instead of fonts: the same file on every machine that has the same matplotlib
STYLE: Any = {"svg.hashsalt": "results", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False}
STYLE |= {"pdf.fonttype": 42}  # TrueType: publishers refuse Type 3
STYLE |= {"axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8}


def plain(text: str) -> str:
    """Text that matplotlib prints as it stands (between dollars it would set formulas), cut where it leaves no room."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text.replace("\\", "∖").replace("$", r"\$")


def seen_against_unseen(frame: pd.DataFrame, names: Sequence[str], looks: Looks) -> Figure:
    """mIoU(U) over mIoU(S) with half-widths, on lines of equal hIoU. frame: rows of a main table."""
    figure, axes = _figure(4.6, 4.2)
    top = 100 * max(0.05, *(np.nan_to_num(frame[column].max()) for column in ("miou_seen", "miou_unseen"))) * 1.15
    grid = np.linspace(top / 200, top, 200)
    s, u = np.meshgrid(grid, grid)
    lines = axes.contour(s, u, harmonic(s, u), levels=8, colors="#c9d0d8", linewidths=0.7)
    axes.clabel(lines, fmt="%.0f", fontsize=7, colors="#8a93a0")
    for row, name in zip(frame.to_dict("records"), names, strict=True):
        half = [100 * np.nan_to_num(row.get(f"{metric}_half", 0.0)) for metric in ("miou_seen", "miou_unseen")]
        look = looks[name]
        point = (100 * row["miou_seen"], 100 * row["miou_unseen"])
        axes.errorbar(*point, xerr=half[0], yerr=half[1], color=look.colour, marker=look.marker, linestyle="none")
        axes.annotate(plain(name), point, xytext=(4, 4), textcoords="offset points", fontsize=7, color=look.colour)
    axes.set(xlabel="mIoU(S), %", ylabel="mIoU(U), %", xlim=(0, top), ylim=(0, top))
    return figure


def forest(rows: Sequence[tuple[str, float, float, bool | None]], best: str, metric: str, looks: Looks) -> Figure:
    """What each method is beside the best: difference with its half-width, in points.

    rows: name, difference, half-width, and whether it is established (filled); None where it is not tested.
    """
    figure, axes = _figure(5.6, 0.9 + 0.3 * max(len(rows), 1))
    for i, (name, value, half, established) in enumerate(rows):
        look = looks[name]
        fill = look.colour if established else "white"
        bar: dict[str, Any] = {
            "color": look.colour,
            "marker": look.marker,
            "markerfacecolor": fill,
            "capsize": 2,
            "linestyle": "none",
        }
        axes.errorbar(value, i, xerr=0.0 if math.isnan(half) else half, **bar)
    axes.axvline(0, color="#8a93a0", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [plain(name) for name, *_ in rows])
    axes.invert_yaxis()
    axes.set(xlabel=f"{metric} less that of {plain(best)}, points", ylim=(len(rows) - 0.5, -0.5))
    return figure


def calibration(sweeps: Mapping[str, Sweep], own: Mapping[str, float], looks: Looks) -> Figure:
    """hIoU over the shift of the seen scores as a share of the widest one swept, the method's own shift marked."""
    figure, axes = _figure(5.6, 3.6)
    ends = {}
    for name, sweep in sweeps.items():
        finite = np.isfinite(sweep.shifts)
        shifts, hiou = sweep.shifts[finite], 100 * sweep.hiou[finite]
        span = float(np.abs(shifts).max()) or 1.0
        look = looks[name]
        axes.plot(shifts / span, hiou, color=look.colour, linestyle=look.line, label=plain(name), linewidth=1.3)
        axes.plot(own[name] / span, float(np.interp(own[name], shifts, hiou)), color=look.colour, marker=look.marker)
        ends[name] = (float(shifts[-1] / span), float(hiou[-1]))
    axes.set(xlabel="taken off the seen scores (share of the widest shift)", ylabel="hIoU, %", ylim=(0, None))
    _label_ends(figure, axes, ends, looks)
    return figure


def trade_off(sweeps: Mapping[str, Sweep], own: Mapping[str, float], looks: Looks) -> Figure:
    """mIoU(U) over mIoU(S), one curve through all shifts, the method's own shift marked."""
    figure, axes = _figure(4.6, 3.6)
    for name, sweep in sweeps.items():
        look = looks[name]
        curve: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.3}
        axes.plot(100 * sweep.seen, 100 * sweep.unseen, label=plain(name), **curve)
        at = int(np.argmin(np.abs(np.where(np.isfinite(sweep.shifts), sweep.shifts, np.inf) - own[name])))
        axes.plot(100 * sweep.seen[at], 100 * sweep.unseen[at], color=look.colour, marker=look.marker)
    axes.set(xlabel="mIoU(S), %", ylabel="mIoU(U), %", xlim=(0, None), ylim=(0, None))
    _legend(figure, axes)
    return figure


def heat_map(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """IoU of each class under each method. table: the frame of a table of classes; names: its columns, shortened."""
    values = 100 * table[list(names)].to_numpy(dtype=float).T
    tall = max((len(plain(label)) for label in table["class"]), default=0)
    figure, axes = _figure(2.9 + 0.21 * values.shape[1], 1.1 + 0.27 * len(names) + 0.08 * tall)
    image = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, aspect="auto")
    unseen = int((table["as"] == "unseen").sum())
    axes.axvline(unseen - 0.5, color="white", linewidth=2.5)
    axes.set_xticks(range(len(table)), [plain(label) for label in table["class"]], rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), [plain(name) for name in names.values()], fontsize=8)
    for start, width, word in ((0, unseen, "unseen"), (unseen, len(table) - unseen, "seen")):
        if width:
            axes.text(start + width / 2 - 0.5, -0.75, word, ha="center", va="bottom", fontsize=8)
    figure.colorbar(image, ax=axes, label="IoU, %", pad=0.01)
    return figure


def losses(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], looks: Looks) -> Figure:
    """Sum of the losses over training steps; methods weigh theirs differently, so only shapes compare."""
    figure, axes = _figure(5.6, 3.4)
    ends = {}
    for name, (steps, values) in curves.items():
        if steps:
            look = looks[name]
            axes.plot(steps, values, color=look.colour, linestyle=look.line, label=plain(name), linewidth=1.2)
            ends[name] = (float(steps[-1]), float(values[-1]))
    axes.set(xlabel="step", ylabel="sum of the losses", yscale="log")
    _label_ends(figure, axes, ends, looks)
    return figure


def anatomy(errors: Mapping[str, np.ndarray], near: Mapping[str, np.ndarray]) -> Figure:
    """Shares of the labelled pixels that are wrong, by kind of error, a bar for each method.

    near: the part of each share that lies near boundaries, hatched; of methods that were measured there.
    """
    figure, axes = _figure(5.2, 1.2 + 0.3 * len(errors))
    names, left = list(errors), np.zeros(len(errors))
    for kind, label in enumerate(ERRORS):
        share = np.array([100 * errors[name][kind] for name in names])
        labels = [plain(name) for name in names]
        axes.barh(labels, share, left=left, label=label, color=KINDS[kind], height=0.7)
        left = left + share
        part = np.array([100 * near[name][kind] if name in near else 0.0 for name in names])
        if part.any():
            axes.barh(labels, part, left=left - part, color="none", edgecolor="white", hatch="////", height=0.7, lw=0)
    axes.invert_yaxis()
    axes.set(xlabel="labelled pixels, %")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def drawn(figure: Figure, form: Literal["svg", "pdf"]) -> bytes:
    """The figure as a file's bytes, without a date."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else {"CreationDate": None})
    return buffer.getvalue()


def save(figure: Figure, folder: Path, name: str) -> None:
    """`<name>.svg` and `<name>.pdf`."""
    write_atomically(folder / f"{name}.svg", drawn(figure, "svg"))
    write_atomically(folder / f"{name}.pdf", drawn(figure, "pdf"))


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _label_ends(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float]], looks: Looks) -> None:
    """Names at the right ends of lines, moved apart; a legend where there are too many."""
    if len(ends) > LABELLED:
        return _legend(figure, axes)
    low, high = axes.get_ylim()
    log = axes.get_yscale() == "log"
    scale = (lambda y: math.log(max(y, 1e-12))) if log else (lambda y: y)
    step = (scale(high) - scale(low)) * 0.055
    at, last = {}, -math.inf
    for name in sorted(ends, key=lambda name: ends[name][1]):
        last = max(scale(ends[name][1]), last + step)
        at[name] = last
    for name, y in at.items():
        place = (ends[name][0], math.exp(y) if log else y)
        style: dict[str, Any] = {"fontsize": 7, "color": looks[name].colour, "va": "center", "annotation_clip": False}
        axes.annotate(plain(name), place, xytext=(4, 0), textcoords="offset points", **style)
    return None


def _legend(figure: Figure, axes: Axes) -> None:
    entries = axes.get_legend_handles_labels()
    if 0 < len(entries[0]) <= 24:  # more would be no legend any more
        figure.legend(*entries, loc="outside lower center", ncols=2, fontsize=8, frameon=False)

"""Figures of the report and of papers, drawn from numbers alone. Drawn twice, they come out byte for byte the same."""

from __future__ import annotations

import io
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
from results.store.files import write_atomically

COLOURS = ("#0b5cad", "#d1495b", "#2e8b57", "#e08e0b", "#7b4fa3", "#3a9fb0", "#8c5a2b", "#5c6674", "#c2588f", "#7a8b1f")
LONGEST = 36  # letters of a name in a figure
MARKERS = "osD^vP*Xh<"
# fixed ids and outlines instead of fonts: the same file on every machine that has the same matplotlib
STYLE: Any = {"svg.hashsalt": "results", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False}
STYLE |= {"axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8}


def plain(text: str) -> str:
    """Text that matplotlib prints as it stands (between dollars it would set formulas), cut where it leaves no room."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text.replace("\\", "∖").replace("$", r"\$")


def seen_against_unseen(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    """mIoU(U) over mIoU(S) with the sd over seeds, on lines of equal hIoU. frame: rows of a main table."""
    figure, axes = _figure(4.6, 4.2)
    top = 100 * max(0.05, *(np.nan_to_num(frame[column].max()) for column in ("miou_seen", "miou_unseen"))) * 1.15
    grid = np.linspace(top / 200, top, 200)
    s, u = np.meshgrid(grid, grid)
    lines = axes.contour(s, u, harmonic(s, u), levels=8, colors="#c9d0d8", linewidths=0.7)
    axes.clabel(lines, fmt="%.0f", fontsize=7, colors="#8a93a0")
    for i, (row, name) in enumerate(zip(frame.to_dict("records"), names, strict=True)):
        spread = [100 * np.nan_to_num(row[f"{metric}_sd"]) for metric in ("miou_seen", "miou_unseen")]
        point = (100 * row["miou_seen"], 100 * row["miou_unseen"])
        axes.errorbar(*point, xerr=spread[0], yerr=spread[1], label=plain(name), **_look(i), linestyle="none")
    axes.set(xlabel="mIoU(S), %", ylabel="mIoU(U), %", xlim=(0, top), ylim=(0, top))
    _legend(figure, axes)
    return figure


def calibration(sweeps: Mapping[str, Sweep], own: Mapping[str, float]) -> Figure:
    """hIoU over the shift of the seen scores as a share of the widest one swept, the method's own shift marked."""
    figure, axes = _figure(5.2, 3.6)
    for i, (name, sweep) in enumerate(sweeps.items()):
        look = _look(i)
        finite = np.isfinite(sweep.shifts)
        shifts, hiou = sweep.shifts[finite], 100 * sweep.hiou[finite]
        span = float(np.abs(shifts).max()) or 1.0
        axes.plot(shifts / span, hiou, color=look["color"], label=plain(name), linewidth=1.3)
        at = float(np.interp(own[name], shifts, hiou))
        axes.plot(own[name] / span, at, **look, linestyle="none")
    axes.set(xlabel="taken off the seen scores (share of the widest shift)", ylabel="hIoU, %", ylim=(0, None))
    _legend(figure, axes)
    return figure


def trade_off(sweeps: Mapping[str, Sweep]) -> Figure:
    """mIoU(U) over mIoU(S), one curve through all shifts."""
    figure, axes = _figure(4.6, 3.6)
    for i, (name, sweep) in enumerate(sweeps.items()):
        axes.plot(100 * sweep.seen, 100 * sweep.unseen, color=_look(i)["color"], label=plain(name), linewidth=1.3)
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


def losses(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Figure:
    """Sum of the losses over training steps; methods weigh theirs differently, so only shapes compare."""
    figure, axes = _figure(5.2, 3.4)
    for i, (name, (steps, values)) in enumerate(curves.items()):
        if steps:  # a method without losses keeps its colour all the same
            axes.plot(steps, values, color=_look(i)["color"], label=plain(name), linewidth=1.2)
    axes.set(xlabel="step", ylabel="sum of the losses", yscale="log")
    _legend(figure, axes)
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
        axes.barh(labels, share, left=left, label=label, color=COLOURS[kind], height=0.7)
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


def _look(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def _legend(figure: Figure, axes: Axes) -> None:
    entries = axes.get_legend_handles_labels()
    if 0 < len(entries[0]) <= 24:  # more would be no legend any more
        figure.legend(*entries, loc="outside lower center", ncols=2, fontsize=8, frameon=False)

"""Figures of the report and of papers, drawn from numbers alone. Drawn twice, they come out byte for byte the same."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
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
from results.report.placement import INCH, Point, apart, axes_in, place, text_width, widest
from results.report.theme import GRID
from results.store.files import write_atomically

Looks = Mapping[str, Look]
KINDS = ("#D55E00", "#0072B2", "#E69F00", "#56B4E9")  # of errors
LONGEST = 36  # letters of a name in a figure
LABELLED = 12  # lines that are labelled at their ends; more get a legend
LEGEND = 24  # its longest
LABEL, LEADER = 7.0, 14.0  # points: letters of a label, and how far it stands from the end of its line
FAINT = "#8a93a0"
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
    size = (3.9, 3.6)
    figure, axes = _axes(size, left=0.6, bottom=0.5, right=0.1)
    top = 100 * max(0.05, *(np.nan_to_num(frame[column].max()) for column in ("miou_seen", "miou_unseen"))) * 1.15
    grid = np.linspace(top / 200, top, 100)
    s, u = np.meshgrid(grid, grid)
    axes.set(xlabel="mIoU(S), %", ylabel="mIoU(U), %", xlim=(0, top), ylim=(0, top))
    lines = axes.contour(s, u, harmonic(s, u), levels=8, colors=GRID, linewidths=0.7)
    axes.clabel(lines, fmt="%.0f", fontsize=7, colors=FAINT)
    shown, points, bars = [], [], []
    area = (size[0] * INCH, size[1] * INCH)
    for row, name in zip(frame.to_dict("records"), names, strict=True):
        half = [100 * np.nan_to_num(row.get(f"{metric}_half", 0.0)) for metric in ("miou_seen", "miou_unseen")]
        look = looks[name]
        x, y = 100 * row["miou_seen"], 100 * row["miou_unseen"]
        axes.errorbar(x, y, xerr=half[0], yerr=half[1], color=look.colour, marker=look.marker, linestyle="none")
        if math.isfinite(x + y):
            shown.append(name)
            points.append((x / top * area[0], y / top * area[1]))
            (px, py), (w, h) = points[-1], (half[0] / top * area[0], half[1] / top * area[1])
            bars += [(px - w, py - 1, px + w, py + 1), (px - 1, py - h, px + 1, py + h)]
    sizes = [(text_width(plain(name), LABEL) * INCH, 1.2 * LABEL) for name in shown]
    for name, point, corner in zip(shown, points, place(points, sizes, area, bars), strict=True):
        _label(axes, name, point, corner, looks[name])
    return figure


def forest(rows: Sequence[tuple[str, float, float, bool | None]], best: str, metric: str, looks: Looks) -> Figure:
    """What each method is beside the best: difference with its half-width, in points.

    rows: name, difference, half-width, and whether it is established (filled); None where it is not tested.
    """
    left = _left(name for name, *_ in rows)
    figure, axes = _axes((5.5 - left, 0.3 * max(len(rows), 1)), left=left, bottom=0.5, right=0.1)
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
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [plain(name) for name, *_ in rows])
    axes.invert_yaxis()
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{metric} less that of {plain(best)}, points", loc="right")
    return figure


def calibration(sweeps: Mapping[str, Sweep], own: Mapping[str, float], looks: Looks) -> Figure:
    """hIoU over the shift of the seen scores as a share of the widest one swept, the method's own shift marked."""
    figure, axes = _axes_for_ends(sweeps, 3.0)
    ends = {}
    for name, sweep in sweeps.items():
        finite = np.isfinite(sweep.shifts)
        shifts, hiou = sweep.shifts[finite], 100 * sweep.hiou[finite]
        span = float(np.abs(shifts).max()) or 1.0
        known, look = np.isfinite(hiou), looks[name]
        if not known.any():
            continue  # nothing of it is defined
        axes.plot(shifts / span, hiou, color=look.colour, linestyle=look.line, label=plain(name), linewidth=1.3)
        axes.plot(own[name] / span, float(np.interp(own[name], shifts, hiou)), color=look.colour, marker=look.marker)
        ends[name] = (float(shifts[known][-1] / span), float(hiou[known][-1]))
    axes.set(xlabel="taken off the seen scores (share of the widest shift)", ylabel="hIoU, %", ylim=(0, None))
    _label_ends(figure, axes, ends, looks)
    return figure


def trade_off(sweeps: Mapping[str, Sweep], own: Mapping[str, float], looks: Looks) -> Figure:
    """mIoU(U) over mIoU(S), one curve through all shifts, the method's own shift marked."""
    figure, axes = _axes((3.9, 3.0), left=0.6, bottom=0.5 + _legend_height(len(sweeps)), right=0.1)
    for name, sweep in sweeps.items():
        look = looks[name]
        if not np.isfinite(sweep.seen + sweep.unseen).any():
            continue
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
    size = (0.21 * values.shape[1], 0.27 * len(names))
    bottom = widest(map(plain, table["class"]), LABEL) + 0.15
    figure, axes = _axes(size, left=_left(names.values()), bottom=bottom, right=0.75, top=0.35)
    image = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, aspect="auto")
    unseen = int((table["as"] == "unseen").sum())
    axes.axvline(unseen - 0.5, color="white", linewidth=2.5)
    axes.set_xticks(range(len(table)), [plain(label) for label in table["class"]], rotation=90, fontsize=LABEL)
    axes.set_yticks(range(len(names)), [plain(name) for name in names.values()])
    for start, width, word in ((0, unseen, "unseen"), (unseen, len(table) - unseen, "seen")):
        if width:
            axes.text(start + width / 2 - 0.5, -0.75, word, ha="center", va="bottom", fontsize=8)
    whole = axes.get_position()
    inch = 1 / figure.get_figwidth()
    beside = figure.add_axes((whole.x1 + 0.1 * inch, whole.y0, 0.12 * inch, whole.height))
    figure.colorbar(image, cax=beside, label="IoU, %")
    return figure


def losses(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], looks: Looks) -> Figure:
    """Sum of the losses over training steps; methods weigh theirs differently, so only shapes compare."""
    figure, axes = _axes_for_ends((name for name, (steps, _) in curves.items() if steps), 2.8, left=0.95)
    ends = {}
    for name, (steps, values) in curves.items():
        known = np.isfinite(values)
        if known.any():
            look = looks[name]
            axes.plot(steps, values, color=look.colour, linestyle=look.line, label=plain(name), linewidth=1.2)
            ends[name] = (float(np.array(steps)[known][-1]), float(np.array(values)[known][-1]))
    axes.set(xlabel="step", ylabel="sum of the losses", yscale="log")
    _label_ends(figure, axes, ends, looks)
    return figure


def anatomy(errors: Mapping[str, np.ndarray], near: Mapping[str, np.ndarray]) -> Figure:
    """Shares of the labelled pixels that are wrong, by kind of error, a bar for each method.

    near: the part of each share that lies near boundaries, hatched; of methods that were measured there.
    """
    left, below = _left(errors), 0.5 + _legend_height(len(ERRORS))
    figure, axes = _axes((5.1 - left, 0.3 * len(errors)), left=left, bottom=below, right=0.1)
    names, filled = list(errors), np.zeros(len(errors))
    for kind, label in enumerate(ERRORS):
        share = np.array([100 * errors[name][kind] for name in names])
        labels = [plain(name) for name in names]
        axes.barh(labels, share, left=filled, label=label, color=KINDS[kind], height=0.7)
        filled = filled + share
        part = np.array([100 * near[name][kind] if name in near else 0.0 for name in names])
        if part.any():
            axes.barh(labels, part, left=filled - part, color="none", edgecolor="white", hatch="////", height=0.7, lw=0)
    axes.set_ylim(len(errors) - 0.5, -0.5)
    axes.set(xlabel="labelled pixels, %")
    _legend(figure, axes)
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


def _axes(
    size: tuple[float, float], *, left: float, bottom: float, right: float, top: float = 0.1
) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        return axes_in(size, left=left, bottom=bottom, right=right, top=top)


def _axes_for_ends(names: Iterable[str], height: float, left: float = 0.6) -> tuple[Figure, Axes]:
    """Axes with room for the names of lines: at the right, or below where there are too many."""
    names = list(map(plain, names))
    labelled = len(names) <= LABELLED
    right = 0.1 + (widest(names, LABEL) + LEADER / INCH if labelled else 0.0)
    below = 0.0 if labelled else _legend_height(len(names))
    return _axes((5.5 - left - right, height), left=left, bottom=0.5 + below, right=right)


def _left(names: Iterable[str]) -> float:
    """The room that names at the left of axes take."""
    return widest(map(plain, names), 9) + 0.15


def _label(axes: Axes, name: str, point: Point, corner: Point, look: Look) -> None:
    """A name in the ink of the page, with a line in the look's colour where it stands apart. All in points."""
    style: dict[str, Any] = {"textcoords": "axes points", "fontsize": LABEL, "va": "bottom", "ha": "left"}
    apart_ = corner[0] - point[0] > LABEL or point[0] - corner[0] - text_width(plain(name), LABEL) * INCH > LABEL
    if apart_ or abs(corner[1] + LABEL / 2 - point[1]) > 2 * LABEL:
        style["arrowprops"] = {"arrowstyle": "-", "color": look.colour, "lw": 0.6, "shrinkA": 0, "shrinkB": 3}
    axes.annotate(plain(name), point, xytext=corner, xycoords="axes points", annotation_clip=False, **style)


def _label_ends(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float]], looks: Looks) -> None:
    """Names at the right ends of lines, moved apart; a legend where there are too many."""
    if len(ends) > LABELLED:
        return _legend(figure, axes)
    to_points = axes.transData - axes.transAxes
    box, (width, height) = axes.get_position(), figure.get_size_inches()
    area = (box.width * width * INCH, box.height * height * INCH)
    at = {name: to_points.transform(end) * area for name, end in ends.items()}
    heights = apart([float(y) for _, y in at.values()], 1.2 * LABEL, LABEL / 2, area[1])
    for (name, (x, y)), moved in zip(at.items(), heights, strict=True):
        line: dict[str, Any] = {"arrowstyle": "-", "color": looks[name].colour, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
        line["relpos"] = (0, 0.5)  # to where the name begins: steep ones would cross other names
        style: dict[str, Any] = {"textcoords": "axes points", "fontsize": LABEL, "va": "center", "arrowprops": line}
        place_ = (area[0] + LEADER, moved)
        axes.annotate(plain(name), (x, y), xytext=place_, xycoords="axes points", annotation_clip=False, **style)
    return None


def _legend_height(entries: int) -> float:
    return 0.19 * math.ceil(entries / 2) if entries <= LEGEND else 0.0


def _legend(figure: Figure, axes: Axes) -> None:
    entries = axes.get_legend_handles_labels()
    if 0 < len(entries[0]) <= LEGEND:  # more would be no legend any more
        style: dict[str, Any] = {"borderaxespad": 0.1, "borderpad": 0.1, "labelspacing": 0.3}
        figure.legend(*entries, loc="lower center", ncols=2, fontsize=8, frameon=False, **style)

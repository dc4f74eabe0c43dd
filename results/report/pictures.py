"""Predictions to look at: image, truth and each method side by side, from finished weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from benchmarks.data.mask_file import BYTES, VALUES
from benchmarks.labels import Labels, code
from methods.label_codes import FIRST_CODE, IGNORED

SHADES = (0.95, 0.65)  # brightness of one colour and the next


def palette(classes: int) -> NDArray[np.uint8]:
    """`(256, 3)` RGB, or `(65536, 3)` where a byte has no room: distinct for the classes, white for ignored."""
    hues = np.arange(classes) * 0.618033988749895 % 1.0  # steps of the golden ratio keep neighbours apart
    value = np.array(SHADES)[np.arange(classes) % len(SHADES)]
    colours = hsv_to_rgb(np.stack([hues, np.full(classes, 0.75), value], axis=1))
    table = np.full((BYTES if classes < FIRST_CODE else VALUES, 3), 255, dtype=np.uint8)
    table[:classes] = np.round(255 * colours)
    return table


def _outline(axis: Axes, truth: Labels, seen: Sequence[bool]) -> None:
    """The borders of seen and of unseen objects."""
    for kind, colour in ((True, "black"), (False, "red")):
        inside = np.isin(truth, [index for index, flag in enumerate(seen) if flag is kind])
        if inside.any():
            padded = np.pad(inside, 1).astype(float)  # an object at the edge is outlined there too
            height, width = inside.shape
            across, down = np.arange(-1, width + 1), np.arange(-1, height + 1)
            axis.contour(across, down, padded, levels=[0.5], colors=colour, linewidths=1.0)


def contact_sheet(
    rows: Sequence[tuple[str, NDArray[np.uint8], Labels, Sequence[Labels]]],
    columns: Sequence[str],
    classes: Sequence[str],
    seen: Sequence[bool],
    path: Path,
) -> None:
    """Save a sheet: a row for each `(id, image (H, W, 3), truth (H, W), predictions (H, W) each)`.

    Predictions are shown where the truth counts. On image and truth, objects of classes that were not seen in training
    are outlined in red, others in black.
    """
    colours = palette(len(classes))
    titles = ["image", "truth", *columns]
    figure, grid = _sheet(len(rows), titles, below=1.2)
    present: set[int] = set()
    for axes, (name, image, truth, predictions) in zip(grid, rows, strict=True):
        ignored = code(IGNORED, truth.dtype)
        shown = [np.where(truth == ignored, ignored, p).astype(truth.dtype) for p in predictions]
        present |= {int(v) for m in (truth, *shown) for v in np.unique(m) if v != ignored}
        _fill(axes, [image, colours[truth], *(colours[m] for m in shown)])
        for axis in axes[:2]:
            _outline(axis, truth, seen)
        axes[0].set_ylabel(name, fontsize=7)
    handles = [
        Patch(color=colours[c] / 255, label=classes[c] + ("" if seen[c] else " (unseen)")) for c in sorted(present)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, max(1, len(titles))), fontsize=7)
    _save(figure, path)


def mask_sheet(
    rows: Sequence[tuple[NDArray[np.uint8], Sequence[NDArray[np.uint8]]]],
    columns: Sequence[str],
    *,
    first_code: int,
    path: Path,
) -> None:
    """Save a sheet: a row for each `(image (H, W, 3), masks (H, W) each)`; ids from `first_code` on are white."""
    masks = [mask for _, row in rows for mask in row]
    highest = max((int(mask[mask < first_code].max(initial=0)) for mask in masks), default=0)
    colours = palette(highest + 1)
    figure, grid = _sheet(len(rows), columns, below=0.3)
    for axes, (image, row) in zip(grid, rows, strict=True):
        _fill(axes, [image, *(colours[mask] for mask in row)])
    _save(figure, path)


def _sheet(rows: int, titles: Sequence[str], *, below: float) -> tuple[Figure, NDArray[Any]]:
    """A figure with a place for each picture; `below`: inches left under them."""
    figure = Figure(figsize=(1.7 * len(titles), 1.75 * rows + below), layout="constrained")
    grid = figure.subplots(rows, len(titles), squeeze=False)
    for axis, title in zip(grid[0], titles, strict=True):
        axis.set_title(title, fontsize=8)
    return figure, grid


def _fill(axes: Sequence[Axes], pictures: Sequence[NDArray[np.uint8]]) -> None:
    for axis, picture in zip(axes, pictures, strict=True):
        axis.imshow(picture, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)

import math

import numpy as np
import pytest

from benchmarks.shapes import silhouettes
from benchmarks.shapes.silhouettes import OPAQUE, SHAPES, SIDE, TABLE, WIDTHS, silhouette, table


def _inside_star(x: float, y: float) -> bool:
    """Independent of `polygon`: the side of the edge in the sector that the point lies in."""
    angle = math.atan2(x, -y) % (2 * math.pi / 5)
    angle = min(angle, 2 * math.pi / 5 - angle)  # 0 at a tip, pi/5 at a notch
    px, py = math.hypot(x, y) * math.cos(angle), math.hypot(x, y) * math.sin(angle)
    tip, notch = (0.97, 0.0), (0.4 * math.cos(math.pi / 5), 0.4 * math.sin(math.pi / 5))
    return (notch[0] - tip[0]) * (py - tip[1]) - (notch[1] - tip[1]) * (px - tip[0]) > 0


def test_names_are_the_twenty_of_the_benchmark_in_order():
    # Fails when a shape is added, renamed or moved: ids in masks and the folds depend on the order.
    assert list(SHAPES) == sorted(SHAPES)
    assert len(SHAPES) == 20


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("star", _inside_star),
        ("ring", lambda x, y: 0.6 <= math.hypot(x, y) < 0.93),
        ("cross", lambda x, y: (abs(x) < 0.93 and abs(y) < 0.3) or (abs(x) < 0.3 and abs(y) < 0.93)),
    ],
)
def test_coverage_equals_a_formula(name, inside):
    # Fails when polygon or disc filling is off by a sample, flipped, or shifted by half a texel.
    coverage = silhouette(name)
    for row in range(1, SIDE, 5):
        for column in range(2, SIDE, 5):
            x, y = (2 * column + 1) / SIDE - 1, (2 * row + 1) / SIDE - 1
            if coverage[row, column] in (0, OPAQUE):
                assert bool(coverage[row, column]) == inside(x, y), (row, column)


def test_shapes_differ_and_fill_their_square():
    # Fails when two names draw the same thing, or a shape is so small that a 20-pixel object would vanish.
    drawn = {name: silhouette(name) > OPAQUE // 2 for name in SHAPES}
    for name, one in drawn.items():
        rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) > 0.75 * SIDE, name
        for other in drawn:
            overlap = (one & drawn[other]).sum() / (one | drawn[other]).sum()
            assert other == name or overlap < 0.9, (name, other)


@pytest.mark.parametrize("width", WIDTHS)
def test_table_is_a_box_filter(width):
    # Fails when the padding, the filter's centring or the packing of the two bytes is off.
    packed = table("fish", width).reshape(TABLE, TABLE)
    padded = np.pad(silhouette("fish").astype(int), (TABLE - SIDE) // 2)
    half = width // 2
    for row, column in ((100, 90), (128, 128), (121, 177), (64, 64), (110, 70)):
        window = padded[row - half : row + half + 1, column - half : column + half + 1]
        assert packed[row, column] & 0xFF == window.sum() // width**2
    assert ((packed >> 8) <= (packed & 0xFF) + 1).all()  # the inside of the outline never leaves the shape
    assert (packed & 0xFF).max() == OPAQUE


def test_unknown_name_is_refused():
    # Fails when a wrong name silently draws something.
    with pytest.raises(KeyError):
        silhouettes.silhouette("teapot")

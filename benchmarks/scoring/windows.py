"""Sizes at test time: the resized picture and the windows laid over it, as mmsegmentation's `slide_inference` does."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """Rows `top:bottom` and columns `left:right` of a picture."""

    top: int
    left: int
    bottom: int
    right: int


def resized(height: int, width: int, short_side: int, long_side: int | None = None) -> tuple[int, int]:
    """`(height, width)` with the short side at `short_side`, less where the long one would pass `long_side`.

    Rounded half up; long_side None: unbounded.
    As mmsegmentation 0.24's `Resize(keep_ratio=True, min_size=short_side)`, in floating point like there.
    """
    _positive(height=height, width=width, short_side=short_side)
    scale = short_side / min(height, width)
    if long_side is not None:
        _positive(long_side=long_side)
        scale = min(scale, long_side / max(height, width))
    return int(height * scale + 0.5), int(width * scale + 0.5)


def _starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side: every `stride`, the last one moved back inside."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return [max(min(index * stride + window, length) - window, 0) for index in range(count)]


def windows(height: int, width: int, window: int | None, stride: int | None = None) -> tuple[Window, ...]:
    """The windows over a `height` x `width` picture, row by row; `window` None: the whole picture at once.

    A side shorter than the window gives one window of that side's length. Raises ValueError for a stride that is
    missing or leaves gaps.
    """
    _positive(height=height, width=width)
    if window is None:
        return (Window(0, 0, height, width),)
    _positive(window=window, stride=stride or 0)
    assert stride is not None
    if stride > window:
        raise ValueError(f"stride {stride} leaves gaps between windows of {window}; expected at most the window")
    return tuple(
        Window(top, left, min(top + window, height), min(left + window, width))
        for top in _starts(height, window, stride)
        for left in _starts(width, window, stride)
    )


def _positive(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1 pixel")

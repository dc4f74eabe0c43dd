"""Bilinear interpolation in two steps, columns first, on rows with the classes last (a place is one stretch of memory).

Exact, not merely close: each value is rounded as `torch.nn.functional.interpolate` rounds it on planes (of two
neighbours, the farther one's product is rounded, the nearer one's is added to it in one operation), with weights read
off `interpolate` itself. `exact` tries that once on this machine.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SMALL: Final = 128  # height plus width up to which torch takes another kernel, which rounds otherwise


class Stretch(NamedTuple):
    """New places `start:stop` whose old neighbours stay the same (stride 0) or move on with them (stride 1)."""

    start: int
    stop: int
    low: int  # of `start`
    high: int
    stride: int


class Axis(NamedTuple):
    """One axis: each new place is a weighted sum of two neighbouring old ones."""

    low: Tensor  # (new,) int64
    high: Tensor  # (new,) int64: low + 1, or low at the end
    low_weight: Tensor  # (new,)
    high_weight: Tensor  # (new,)
    runs: tuple[Stretch, ...]


class Space:
    """Memory by name, used again and again: fresh memory costs more than what is computed in it."""

    def __init__(self, dtype: torch.dtype):
        self._dtype = dtype
        self._flat: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Uninitialised, and the same memory as the last of that name."""
        size = torch.Size(shape).numel()
        if name not in self._flat or len(self._flat[name]) < size:
            self._flat[name] = torch.empty(size, dtype=self._dtype)
        return self._flat[name][:size].view(shape)


@lru_cache(maxsize=256)
def axis(old: int, new: int, dtype: torch.dtype) -> Axis:
    """How `interpolate` weighs the places of one axis, read off what it makes of unit vectors."""
    rows = max(old, SMALL + 1)  # so that it takes the kernel for large maps
    units = torch.eye(rows, old, dtype=dtype)[None, None]
    weights = interpolate(units, size=(rows, new), mode="bilinear", align_corners=False)[0, 0, :old]  # (old, new)
    low = (weights != 0).int().argmax(dim=0)  # the first of at most two
    high = (low + 1).clamp(max=old - 1)
    high_weight = torch.where(high > low, weights.gather(0, high[None])[0], 0)
    return Axis(low, high, weights.gather(0, low[None])[0], high_weight, _runs(low.tolist(), high.tolist()))


def _runs(low: list[int], high: list[int]) -> tuple[Stretch, ...]:
    found: list[Stretch] = []
    start, stride = 0, None
    for place in range(1, len(low) + 1):
        moved = (low[place] - low[place - 1], high[place] - high[place - 1]) if place < len(low) else None
        if moved in ((0, 0), (1, 1)) and stride in (None, moved[0]):
            stride = moved[0]
            continue
        found.append(Stretch(start, place, low[start], high[start], stride or 0))
        start, stride = place, None
    return tuple(found)


def across(rows: Tensor, width: int, space: Space, out: Tensor) -> Tensor:
    """`(r, w, c)` resized to `out` `(r, width, c)`: the first step."""
    if rows.shape[1] == width:
        return out.copy_(rows)
    along = axis(rows.shape[1], width, rows.dtype)
    shape = (width, rows.shape[2])
    far, near = (weight[:, None].expand(shape).contiguous() for weight in (along.high_weight, along.low_weight))
    torch.index_select(rows, 1, along.high, out=out)
    neighbour = torch.index_select(rows, 1, along.low, out=space("neighbour", *out.shape))
    return torch.addcmul(out.mul_(far), neighbour, near, out=out)


def down(rows: Tensor, old: int, new: int, first: int, last: int, offset: int, out: Tensor) -> Tensor:
    """Rows `first:last` of `(old, w, c)` resized to `new` rows, into `out`: the second step.

    rows: those from row `offset` on that are needed.
    """
    if old == new:
        return out.copy_(rows[first - offset : last - offset])
    along = axis(old, new, rows.dtype)
    for run in along.runs:
        start, stop = max(run.start, first), min(run.stop, last)
        if start < stop:
            moved = run.stride * (start - run.start) - offset
            count = stop - start if run.stride else 1
            near, far = (rows[place + moved : place + moved + count] for place in (run.low, run.high))
            part = out[start - first : stop - first]
            torch.mul(far, along.high_weight[start:stop, None, None], out=part)
            torch.addcmul(part, near, along.low_weight[start:stop, None, None], out=part)
    return out


@cache
def exact(dtype: torch.dtype) -> bool:
    """Whether this machine rounds here as in `interpolate`, bit for bit: tried on a few sizes."""
    generator, space = torch.Generator().manual_seed(0), Space(dtype)
    for old, new, classes in (((9, 7), (131, 97), 3), ((33, 41), (61, 90), 20), ((120, 150), (111, 140), 17)):
        planes = torch.randn(classes, 1, *old, generator=generator, dtype=dtype)
        plain = interpolate(planes, size=new, mode="bilinear", align_corners=False)[:, 0]
        rows = planes[:, 0].permute(1, 2, 0).contiguous()
        rows = across(rows, new[1], space, space("across", old[0], new[1], classes))
        found = down(rows, old[0], new[0], 0, new[0], 0, space("down", *new, classes))
        if not torch.equal(found.permute(2, 0, 1), plain):
            return False
    return True

"""Published numbers: `published/register.csv`, one row a number, as printed, with where it was read and how.

A number never stands without its source. Rows of a table gather the numbers of one method, setting, benchmark, backbone
and source; two sources that print different numbers of one method stay two rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from benchmarks.values import Value

METRICS = ("pacc", "miou_seen", "miou_unseen", "hiou")
GAIN, OPEN = "hiou_gain", "open-vocabulary"


class Number(Value):
    """One published number, in percent as printed."""

    value: float
    metric: str
    """One of METRICS, `miou` of an episodic fold or of an open vocabulary, or `hiou_gain`: stated without a table."""
    method: str
    benchmark: str
    fold: str
    """Of episodic numbers: a fold, or `mean`; else empty."""
    kind: str
    """generalised, episodic-binary, or open-vocabulary: no class is unseen, all are asked for by name."""
    setting: str
    backbone: str
    paper: str
    """Where it was printed: for a method's own number its paper, else the paper that compares with it."""
    table: str
    url: str
    """Address or DOI of what was read, or of the paper that it goes with; empty where nobody wrote it down."""
    seen: str
    """The day on which it was put down."""
    read: str
    """In what: the method's own README or paper, or a third party's."""
    checked: str
    """`yes: ` and what it was held against, else `no`."""
    note: str

    @property
    def source(self) -> str:
        """The source in one line."""
        place = f"{self.paper}, {self.table}" if self.table else self.paper
        checked = f"checked, {self.checked.removeprefix('yes: ')}" if self.checked != "no" else "not checked"
        return f"{place} ({self.read}; {checked})"


class Published(Value):
    """One published row of a generalised benchmark, in percent as printed; None where its source prints nothing."""

    method: str
    setting: str
    benchmark: str
    backbone: str
    pacc: float | None
    miou_seen: float | None
    miou_unseen: float | None
    hiou: float | None
    source: str
    note: str

    @property
    def harmonic_range(self) -> tuple[float, float] | None:
        """Between what the printed S and U put hIoU, as rounded to a tenth; None where one is not printed."""
        if self.miou_seen is None or self.miou_unseen is None:
            return None
        low, high = (_harmonic(self.miou_seen + step, self.miou_unseen + step) for step in (-0.05, 0.05))
        return low - 0.05, high + 0.05


@cache
def numbers() -> tuple[Number, ...]:
    """Every number of the register."""
    text = files("results").joinpath("published", "register.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return tuple(Number.parse(row | {"value": float(row["value"])}, source="published/register.csv") for row in rows)


@cache
def published() -> tuple[Published, ...]:
    """Every row of generalised benchmarks, in the order of the register."""
    rows: dict[tuple[str, ...], dict[str, Number]] = {}
    for number in numbers():
        if number.metric in METRICS:
            key = (number.method, number.setting, number.benchmark, number.backbone, number.source)
            rows.setdefault(key, {})[number.metric] = number
    return tuple(_row(key, of) for key, of in rows.items())


def _row(key: tuple[str, ...], of: dict[str, Number]) -> Published:
    method, setting, benchmark, backbone, source = key
    fields: dict[str, Any] = {"method": method, "setting": setting, "benchmark": benchmark, "backbone": backbone}
    fields |= {metric: of[metric].value if metric in of else None for metric in METRICS}
    return Published(**fields, source=source, note=next(iter(of.values())).note)


def episodic(benchmark: str) -> Iterator[Number]:
    """What the few-shot literature printed for a benchmark."""
    return (n for n in numbers() if n.kind == "episodic-binary" and n.benchmark == benchmark)


def open_vocabulary(benchmark: str) -> Iterator[Number]:
    """What was printed of training-free and other methods that are asked for all classes of a benchmark by name."""
    return (n for n in numbers() if n.kind == OPEN and n.benchmark == benchmark)


def gains() -> Iterator[Number]:
    """Gains that are stated without a table."""
    return (number for number in numbers() if number.metric == GAIN)


def _harmonic(seen: float, unseen: float) -> float:
    return 2 * seen * unseen / (seen + unseen)

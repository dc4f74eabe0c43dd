"""Figures that are yet to be drawn, here or by another process; only who draws them imports matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from results.report.theme import themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["seen_against_unseen", "forest", "calibration", "trade_off", "heat_map", "losses", "anatomy"]


@dataclass(frozen=True)
class Drawn:
    """The bytes of a picture, and its width in inches."""

    content: bytes
    width: float


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: which function of `results.report.figures` draws it, and its arguments."""

    kind: Kind
    of: tuple[Any, ...]

    def drawn(self, saved_as: Path | None = None) -> Drawn:
        """Draw it as SVG for light and dark paper. saved_as: a path without ending, to write SVG and PDF to as well."""
        from results.report import figures

        draw: Callable[..., Figure] = getattr(figures, self.kind)
        figure = draw(*self.of)
        if saved_as is not None:
            figures.save(figure, saved_as.parent, saved_as.name)
        return Drawn(themed(figures.drawn(figure, "svg")), float(figure.get_size_inches()[0]))

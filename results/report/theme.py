"""Figures on light and dark pages: black, white and the grey of grids follow the reader's scheme, colours stay.

An SVG in an `img` takes no colour from the page around it, but knows the scheme that the page is shown in.
"""

from __future__ import annotations

import re

GRID = "#c9d0d8"
SCHEMES = {  # drawn colour -> its name, light and dark; ink and paper are those of templates/style.css
    "#000000": ("ink", "#1c2430", "#e4e8ee"),
    "#ffffff": ("paper", "#fff", "#14181f"),
    GRID: ("grid", GRID, "#3a4350"),
}


def themed(svg: bytes) -> bytes:
    """A figure that follows the scheme, from the SVG that matplotlib writes: its colours stand in style attributes."""
    text = re.sub("|".join(SCHEMES), lambda found: f"var(--{SCHEMES[found[0]][0]})", svg.decode())
    light, dark = (";".join(f"--{of[0]}:{of[i]}" for of in SCHEMES.values()) for i in (1, 2))
    style = f"svg{{{light};fill:var(--ink)}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
    return text.replace("<defs>", f"<defs><style>{style}</style>", 1).encode()

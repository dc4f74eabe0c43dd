"""How a table of positions is brought to another grid, by name. No torch: configs choose among these."""

from typing import Literal

# bilinear: by the size of the grid, as ZegCLIP's code has it. bicubic: by the size, as MaskCLIP's has it.
# bicubic-offset: by the factor (n + 0.1) / N of each side, as in DINO's code, and in SCLIP's, NACLIP's and ClearCLIP's.
Interpolation = Literal["bilinear", "bicubic", "bicubic-offset"]

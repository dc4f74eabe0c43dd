"""What must not be computed in half precision: class scores, since rounded ones tie in the argmax, and losses."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """The tensor in float32 if it is of half precision, else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def wide_product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` in float32 or wider, under autocast too."""
    with torch.autocast(a.device.type, enabled=False):
        return wide(a) @ wide(b)

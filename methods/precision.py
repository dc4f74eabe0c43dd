"""What must not be computed in half precision (class scores, since rounded ones tie in the argmax, and losses); and in
what products are computed, said explicitly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """The tensor in float32 if it is of half precision, else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def wide_product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` in float32 or wider, under autocast too."""
    with torch.autocast(a.device.type, enabled=False):
        return wide(a) @ wide(b)


@contextmanager
def float32_products(*, tf32: bool = False) -> Iterator[None]:
    """Within, float32 products and convolutions on CUDA are of full width; with `tf32` their factors have 10 bits.

    Torch by itself lets convolutions take TF32, and a process may have set either. The CPU's products are of full width
    in both cases. The settings are the process's: put back at the end.
    """
    kept = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")  # of the CPU too
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(kept[0])
        torch.backends.cudnn.allow_tf32 = kept[1]


@contextmanager
def forward_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within, a forward pass is computed in this precision, a `benchmarks.choices.Precision`; bf16 is autocast's."""
    with (
        float32_products(tf32=precision == "tf32"),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        yield

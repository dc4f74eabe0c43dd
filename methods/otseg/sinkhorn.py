"""Entropic optimal transport between the patches of a picture and the texts of a class, by Sinkhorn's algorithm.

In the log domain, from cosines, with gradients through every iteration, as the released OTSeg has it.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from methods.precision import wide

EPSILON: Final = 0.05  # all four are constants of the released code
ITERATIONS: Final = 100  # at most
TOLERANCE: Final = 1e-6  # mean change of the patches' potentials below which it stops
INSIDE_LOG: Final = 1e-8  # added to the marginals: part of the numbers (1e-5 of them at 1,024 patches)


def transport_plan(similarity: Tensor, *, together: bool = True) -> Tensor:
    """`solved` without the number of iterations."""
    return solved(similarity, together=together)[0]


def solved(similarity: Tensor, *, together: bool = True) -> tuple[Tensor, int]:
    """Plans `(B, K, N, P)` between N texts and P patches, one for each image and class, and how often it iterated.

    similarity: cosines `(B, K, N, P)`. Costs are 1 - cosine, marginals uniform; a plan's weights of one text sum to
    1 / N (+ 1e-8), of one patch to about 1 / P. float32 or wider.

    together: one stop rule for the whole call, as released, so that values depend (by about 5e-6) on what else is in
    the batch. False: one for each image with all its classes, which is what the released code does at test, where it
    sees one image at a time.
    """
    with torch.autocast(similarity.device.type, enabled=False):
        kernel = (wide(similarity) - 1) / EPSILON
        texts, patches = kernel.shape[-2:]
        log_text, log_patch = math.log(1 / texts + INSIDE_LOG), math.log(1 / patches + INSIDE_LOG)
        u = torch.zeros_like(kernel[:, :, :1])  # (B, K, 1, P), potentials of patches in units of EPSILON
        v = torch.zeros_like(kernel[..., :1])  # (B, K, N, 1)
        running = torch.ones_like(u[:, :1, :, :1], dtype=torch.bool)  # (B, 1, 1, 1)
        iterations = 0
        while running.any() and iterations < ITERATIONS:
            iterations += 1
            # u drops out of the right side of its own update, v of its own too
            next_u = log_patch - (kernel + v).logsumexp(-2, keepdim=True)
            next_v = log_text - (kernel + next_u).logsumexp(-1, keepdim=True)
            change = EPSILON * (next_u - u).detach().abs()
            if together:
                u, v = next_u, next_v
                running = change.mean() >= TOLERANCE
            else:
                u, v = torch.where(running, next_u, u), torch.where(running, next_v, v)
                running = running & (change.mean((1, 2, 3), keepdim=True) >= TOLERANCE)
        return (kernel + u + v).exp(), iterations

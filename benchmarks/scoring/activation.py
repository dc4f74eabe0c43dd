"""A method's activation over many scores, such that what a score becomes depends on nothing but itself.

Vectorised functions (sigmoid) round the last elements of a tensor, and of each thread's share, in another way than the
rest. So scores go through in pieces of full vectors, too short to be shared out among threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.method import Method
from methods.returned import activated

VECTORS = 64  # scores: a multiple of every vector length that torch unrolls to on a CPU
SHARED = 32768  # scores from which torch shares an operation out among threads


def activated_columns(method: Method, scores: Tensor, seen: Tensor) -> Tensor:
    """`(n, c)` scores, classes last, after the method's activation; seen: `(c,)` bool."""
    if type(method).activate is Method.activate or scores.device.type != "cpu":
        return _activate(method, scores, seen)  # a subtraction: rounded alike everywhere; so is everything on CUDA
    pixels, classes = scores.shape
    step = max(1, (SHARED - 1) // (VECTORS * classes)) * VECTORS
    if VECTORS * classes >= SHARED:
        raise ValueError(f"{classes} classes at once, expected fewer than {SHARED // VECTORS}")
    out = torch.empty_like(scores)
    for first in range(0, pixels, step):
        piece = scores[first : first + step]
        short = -len(piece) % VECTORS
        padded = torch.cat([piece, piece.new_zeros(short, classes)]) if short else piece
        out[first : first + step] = _activate(method, padded, seen)[: len(piece)]
    return out


def activated_planes(method: Method, scores: Tensor, seen: Tensor) -> Tensor:
    """`(W, c, h, w)` scores, plane by plane, after the method's activation; the same bits as by columns."""
    if type(method).activate is Method.activate or scores.device.type != "cpu":
        return activated(method, scores, seen)
    one_by_one = [
        activated_columns(method, scores[:, c].reshape(-1, 1), seen[[c]]).view(scores[:, c].shape)
        for c in range(len(seen))
    ]
    return torch.stack(one_by_one, dim=1)


def _activate(method: Method, scores: Tensor, seen: Tensor) -> Tensor:
    return activated(method, scores.t()[None, :, :, None], seen)[0, :, :, 0].t()  # as (1, c, n, 1)

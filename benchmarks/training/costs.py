"""What a method costs: parameters, multiply-accumulates of one pass, peak memory."""

from __future__ import annotations

import resource
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode

from methods.method import Images, Method, Vocabulary


def parameters(method: Method) -> tuple[int, int]:
    """Trainable and total parameters; what stands in two places counts once."""
    all_of_them = list(method.parameters())
    return sum(p.numel() for p in all_of_them if p.requires_grad), sum(p.numel() for p in all_of_them)


@torch.no_grad()
def gmacs(method: Method, vocabulary: Vocabulary, side: int, device: torch.device | str = "cpu") -> float:
    """Multiply-accumulates (10^9) of scoring one `side` x `side` image, the text's prototypes known beforehand.

    Counted by torch's FlopCounterMode, halved. The fused fast path of `nn.MultiheadAttention` would count as nothing,
    so it is off while counting.
    """
    method.eval()
    image = Images(torch.zeros(1, 3, side, side, dtype=torch.uint8, device=device))
    method.scores(image, vocabulary)  # fills the cache of text prototypes
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter:
            method.scores(image, vocabulary)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() / 2 / 1e9


def forget_peak(device: torch.device) -> None:
    """Start the allocator's peak anew, where several runs share a process; a CPU's goes with its process."""
    if device.type == "cuda" and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> float:
    """The allocator's peak on CUDA, the process's largest resident set elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)

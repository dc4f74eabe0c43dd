"""CLIP-to-Seg and CLIPTeacher: a closed-set segmentor taught by a frozen CLIP, which is gone at test."""

from methods.distillation.method import Distilled, build

__all__ = ["Distilled", "build"]

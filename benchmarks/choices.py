"""What a protocol leaves open, choice by choice, the default first. Imports nothing heavy: a command line offers them.

What each choice means stands at its field in `benchmarks.protocol`.
"""

from __future__ import annotations

from typing import Literal

# of training
TrainingImages = Literal["keep", "drop"]
CropDecision = Literal["masked", "full"]
Border = Literal["void", "unlabelled"]
# of scoring
Kind = Literal["generalised", "episodic-binary"]
Items = Literal["all", "hsnet-1000"]
Background = Literal["ignored", "class"]
AbsentRule = Literal["skip", "skip-absent-in-truth"]
# of both
Names = Literal["dataset", "renamed"]  # what classes are called before CLIP
Scale = Literal["native", "trial"]
# what a scored image's forward pass is computed in
Precision = Literal["float32", "tf32", "bf16"]

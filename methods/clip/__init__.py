"""CLIP for methods: text prototypes, CLS and dense tokens of any tower that has them, the pieces of a transformer.

This package is the only part of the project that knows open_clip.
"""

from methods.clip.loading import load_clip
from methods.clip.model import Clip
from methods.clip.towers import Tower
from methods.clip.vit import Readout, Tokens, VitTower

__all__ = ["Clip", "Readout", "Tokens", "Tower", "VitTower", "load_clip"]

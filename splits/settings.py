"""What a training may know of the unseen classes: the settings of the literature. Imports nothing heavy: a command line
offers them.

inductive: nothing, not even their names. transductive: their names. transductive-known-extent: also where unseen
classes are, not which. fully-supervised: their labels (an upper bound).
"""

from __future__ import annotations

from typing import Literal, get_args

Setting = Literal["inductive", "transductive", "transductive-known-extent", "fully-supervised"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)

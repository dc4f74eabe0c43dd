"""The codes of label maps `(H, W)` uint8, beside class indices `0..FIRST_CODE-1`. No torch here.

In training, 253 to 255 are labels without a class. In a truth to score against, 255 alone occurs.
"""

from __future__ import annotations

from typing import Final

UNLABELLED: Final = 255  # background or an unseen class, not known which; mining may use it
VOID: Final = 254  # border of an object or padding: nothing may be learned or mined here
UNSEEN_EXTENT: Final = 253  # some unseen class, not known which (only in the setting transductive-known-extent)
FIRST_CODE: Final = UNSEEN_EXTENT  # labels below this are class indices
IGNORED: Final = 255  # in a truth: counts nowhere

"""Memory that is not there, as one line that says what to do."""

from __future__ import annotations

import re

from results.launch.plan.request import Run

# torch's words, on CUDA and on a CPU; its libraries for CUDA say it in their own
SAID = re.compile(r"[^.:\n]*(?:out of memory|can't allocate memory|_ALLOC(?:ATION)?_FAILED)[^.\n]*")


def memory_words(error: BaseException, run: Run, *, trained: bool) -> str:
    """What to do where an error is a lack of memory; empty where it is another. trained: was training over?"""
    found = SAID.search(str(error))
    if found is None and not isinstance(error, MemoryError):
        return ""
    said = " ".join(found[0].split()) if found else "Python's own"
    recipe = run.train.recipe
    if trained or not recipe.iterations:
        return f"out of memory while scoring ({said}); give smaller windows (--window, --stride), or another device"
    share = recipe.batch // recipe.ranks
    further = next((k for k in range(recipe.accumulate + 1, share + 1) if share % k == 0), 0)
    advice = (
        f"--accumulate {further} cuts each batch of {recipe.batch} into smaller parts and leaves the batch as it is"
        if further
        else "one image at a time does not fit either: take a smaller crop or another device"
    )
    return f"out of memory with {recipe.micro_batch} images at once ({said}); {advice}"

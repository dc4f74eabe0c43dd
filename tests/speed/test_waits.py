"""What a training step would wait for on a GPU."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from methods.method_entry import COMPARISON, RIVALS  # noqa: E402
from methods.registry import METHODS  # noqa: E402
from tests.speed import waits  # noqa: E402

# Which files a step of a method may wait in, and by what; how often at most. Mining settles its windows in rounds until
# none is left, and the students have to know which regions there are. Chimera-Seg measures its entry once (a flag is
# read). OTSeg's transport ends where it has converged.
REGIONS = {
    ("_local_scalar_dense", "methods/contrast.py"),
    ("_local_scalar_dense", "methods/mining.py"),
    ("index by a mask", "methods/distillation/distilled.py"),
    ("index_put by a mask", "backward"),
    ("nonzero", "methods/contrast.py"),
    ("tensor", "methods/mining.py"),
}
TRANSPORT = {("_local_scalar_dense", "methods/otseg/sinkhorn.py")}
KNOWN = {
    "clipteacher": (REGIONS, 12),
    "clip-to-seg": (REGIONS, 13),
    "chimera-seg": ({("_local_scalar_dense", "methods/chimera/chimera_seg.py")}, 1),
    "otseg": (TRANSPORT, 40),
    "otseg+": (TRANSPORT, 40),
}
NOTHING: tuple[set[tuple[str, str]], int] = (set(), 0)

pytestmark = pytest.mark.usefixtures("fast_kernels")
COMPARED = [name for name, known in METHODS.items() if known.trained and known.group in (COMPARISON, RIVALS)]


@pytest.mark.parametrize("name", COMPARED)
def test_a_step_waits_for_nothing_else(name: str) -> None:
    """Fails when a training step reads a number or a size from the device in a new place, copies to it, or more often.

    What is not named above, ZegCLIP among it, waits for nothing.
    """
    places, most = KNOWN.get(name, NOTHING)
    found = waits.waits_of(name)
    assert {(what, where.partition(":")[0]) for what, where in found} == places
    assert found.total() <= most

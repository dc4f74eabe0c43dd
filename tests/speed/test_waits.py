"""What a training step would wait for on a GPU."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from tests.speed import waits  # noqa: E402

# Which files a step of each method may wait in, and by what. ZegCLIP's step only copies the statistics that pixels are
# normalised by. Mining settles its windows in rounds until none is left, and the students have to know which regions
# there are. Chimera-Seg measures its entry once (a flag asks), and picks positions by a mask for a figure it logs.
STATISTICS = {("tensor", "methods/method.py")}
REGIONS = {
    ("_local_scalar_dense", "methods/contrast.py"),
    ("_local_scalar_dense", "methods/mining.py"),
    ("index by a mask", "methods/distillation/distilled.py"),
    ("index_put by a mask", "backward"),
    ("nonzero", "methods/contrast.py"),
    ("tensor", "methods/mining.py"),
}
KNOWN = {
    "zegclip": STATISTICS,
    "zegclip-baseline": STATISTICS,
    "zegclip-baseline-ft": STATISTICS,
    "clip-to-seg-ce": STATISTICS,
    "clipteacher": STATISTICS | REGIONS,
    "clip-to-seg": STATISTICS | REGIONS | {("tensor", "methods/distillation/teacher.py")},
    "chimera-seg": STATISTICS
    | {
        ("_local_scalar_dense", "methods/chimera/chimera_seg.py"),
        ("index by a mask", "methods/chimera/chimera_seg.py"),
    },
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_step_waits_for_nothing_else(name: str) -> None:
    """Fails when a training step reads a number or a size from the device in a new place, or copies to it there."""
    found = waits.waits_of(name)
    assert {(what, where.partition(":")[0]) for what, where in found} == KNOWN[name]


def test_zegclip_copies_two_statistics() -> None:
    """Fails when ZegCLIP's step has more than the two small copies of mean and standard deviation."""
    assert sum(waits.waits_of("zegclip").values()) == 2


WAITING = {
    "_local_scalar_dense": lambda x: x.sum().item(),
    "bool": lambda x: bool(x[0] > 0),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "bincount": lambda x: x.long().bincount(),
    "masked index": lambda x: x[x > 0],
    "masked write": lambda x: x.index_put((x > 0,), torch.tensor(1.0)),
    "counted repeat": lambda x: x.repeat_interleave(x.long()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "copy": lambda x: torch.tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("name", WAITING)
def test_a_wait_is_seen(name: str) -> None:
    """Fails when one of the ways in which a CPU waits for a GPU is overlooked."""
    with waits.watched() as found:
        WAITING[name](torch.arange(1.0, 5.0))
    assert sum(found.values()) >= 1


def test_a_wait_of_the_gradient_is_seen() -> None:
    """Fails when only the forward pass is watched: the gradient of a masked read writes by that mask."""
    x = torch.arange(1.0, 5.0, requires_grad=True)
    picked = x[x > 2].sum()
    with waits.watched() as found:
        picked.backward()
    assert [what for what, _ in found] == ["index_put by a mask"]


def test_plain_work_waits_for_nothing() -> None:
    """Fails when what a GPU does by itself counts as a wait."""
    x = torch.randn(4, 6, requires_grad=True)
    with waits.watched() as found:
        y = torch.where(x > 0, x, 0) @ torch.ones(6, 3)
        y = torch.cat([y, y.softmax(-1).gather(1, y.argmax(1, keepdim=True))], dim=1)
        y.scatter_add(1, torch.zeros(4, 1, dtype=torch.long), y[:, :1]).masked_fill(y > 3, 0).sum().backward()
        x.repeat_interleave(2, 0)
    assert not found

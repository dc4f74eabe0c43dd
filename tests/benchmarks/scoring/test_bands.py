"""The fast way to each pixel's best classes against the plain one: the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring import bands, evaluate  # noqa: E402
from benchmarks.scoring.activation import activated_columns, activated_planes  # noqa: E402
from benchmarks.scoring.bilinear import axis, exact  # noqa: E402
from benchmarks.scoring.planes import views  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402
from splits.errors import UserError  # noqa: E402

pytestmark = pytest.mark.skipif(not exact(torch.float32), reason="torch rounds otherwise here: the plain way is taken")


class Noise(Method):
    """Scores that depend on the window alone: random, few distinct values ("ties"), or one value for all."""

    def __init__(self, kind: str = "random", shift: float = 0.0, dtype: torch.dtype = torch.float32, cell: int = 16):
        super().__init__()
        self.kind, self.seen_shift, self.dtype, self.cell = kind, shift, dtype, cell

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        h, w = (-(-side // self.cell) for side in images.pixels.shape[-2:])
        out = []
        for window in images.pixels:
            generator = torch.Generator().manual_seed(int(window.long().sum()))
            out.append(torch.randn(len(vocabulary), h, w, generator=generator, dtype=torch.float64) * 3)
        scores = torch.stack(out)
        if self.kind == "ties":
            scores = scores.round()
        return (torch.ones_like(scores) if self.kind == "constant" else scores).to(self.dtype)


class Squashed(Noise):
    def activate(self, scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return super().activate(scores.sigmoid(), seen)


def words(seen: list[bool]) -> Vocabulary:
    names = tuple(f"c{index}" for index in range(len(seen)))
    return Vocabulary(names, tuple(seen), names, ("a {}",))


def both_ways(method: Method, seen: list[bool], inference: Inference, image: np.ndarray, size: tuple[int, int]):
    """The best classes, fast and plain; whether the fast way was open."""
    vocabulary = words(seen)
    fast = evaluate.best_classes(method, image, vocabulary, inference, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "fits", lambda *_: False)
        plain = evaluate.best_classes(method, image, vocabulary, inference, size)
    return fast, plain, bands.fits(views(method, image, vocabulary, inference), size)


def same(fast, plain) -> None:
    for found, expected in zip(fast, plain, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            assert torch.equal(found[0], expected[0])
            assert torch.equal(found[1], expected[1])
            assert (found[0].dtype, found[1].dtype) == (expected[0].dtype, torch.uint8)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


WHOLE = Inference(short_side=96)
SLIDE = Inference(short_side=96, window=80, stride=37)
FLIPS = Inference(short_side=80, window=72, stride=50, flips=True)


@settings(max_examples=25, deadline=None)
@given(
    seen=st.lists(st.booleans(), min_size=1, max_size=90),
    size=st.tuples(st.integers(20, 150), st.integers(115, 180)),
    kind=st.sampled_from(["random", "ties", "constant"]),
    inference=st.sampled_from([WHOLE, SLIDE, FLIPS]),
    squashed=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    band=st.sampled_from([1, 20_000, 1 << 19]),
)
def test_equal_to_the_plain_way(seen, size, kind, inference, squashed, dtype, band) -> None:
    """Fails when a single bit of a best score differs from the resizes done in full, or a tie goes elsewhere."""
    method = (Squashed if squashed else Noise)(kind, 0.3, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "BAND", band)
        fast, plain, _ = both_ways(method, seen, inference, picture(*size), size)
    same(fast, plain)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (2, 131), (129, 97), (480, 640)])
@pytest.mark.parametrize("seen", [[True], [False], [True, False] * 40])
def test_odd_truths(size: tuple[int, int], seen: list[bool]) -> None:
    """Fails when truths of one pixel, one row or one column, larger or much smaller than the canvas, come out wrong."""
    fast, plain, open_ = both_ways(Squashed(), seen, WHOLE, picture(96, 131), size)
    same(fast, plain)
    assert open_ == (sum(size) > 128)


def test_equal_sizes_need_no_step() -> None:
    """Fails when a resize to the same size is not the identity, on the grid or on the canvas."""
    for cell in (1, 16):
        fast, plain, open_ = both_ways(Noise(cell=cell), [True, False, True], WHOLE, picture(96, 131), (96, 131))
        same(fast, plain)
        assert open_


def test_the_fast_way_is_taken_where_it_matters() -> None:
    """Fails when photos go the plain way, or scores of types whose rounding was not tried go the fast one."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):  # bf16 becomes float32 before anything is done with it
        scored = views(Noise(dtype=dtype), picture(300, 400), words([True, False]), SLIDE)
        assert bands.fits(scored, (300, 400))
    narrow = replace(scored, grids=tuple(grid.bfloat16() for grid in scored.grids))
    assert not bands.fits(narrow, (300, 400))
    assert not bands.fits(views(Noise(), picture(64, 64), words([True]), Inference(short_side=64)), (63, 64))


def test_nan_is_refused() -> None:
    """Fails when a NaN among the scores passes as some class."""

    class Broken(Noise):
        def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
            out = super().scores(images, vocabulary)
            out[:, 1, 0, 0] = torch.nan
            return out

    with pytest.raises(UserError, match="are NaN"):
        evaluate.best_classes(Broken(), picture(96, 131), words([True, True, False]), WHOLE, (96, 131))


@pytest.mark.parametrize("sizes", [(43, 683), (683, 640), (640, 683), (1, 300), (300, 1), (7, 7)])
def test_axis(sizes: tuple[int, int]) -> None:
    """Fails when weights are not those of align_corners false, or the runs do not tell the neighbours."""
    old, new = sizes
    along = axis(old, new, torch.float64)
    position = ((torch.arange(new, dtype=torch.float64) + 0.5) * old / new - 0.5).clamp(0, old - 1)
    assert torch.allclose(along.low * along.low_weight + along.high * along.high_weight, position)
    assert torch.allclose(along.low_weight + along.high_weight, torch.ones(new, dtype=torch.float64))
    for run in along.runs:
        moved = torch.arange(run.stop - run.start) * run.stride
        assert torch.equal(along.low[run.start : run.stop], run.low + moved)
        assert torch.equal(along.high[run.start : run.stop], run.high + moved)
    assert sum(run.stop - run.start for run in along.runs) == new


@pytest.mark.parametrize("pixels", [1, 63, 64, 65, 5000])
@pytest.mark.parametrize("classes", [1, 3, 64])
def test_activation_depends_on_nothing_but_the_score(pixels: int, classes: int) -> None:
    """Fails when the same score is activated to other bits in another place, in other company or by more threads."""
    method, seen = Squashed(shift=0.2), torch.arange(classes) % 2 == 0
    scores = torch.randn(pixels, classes, generator=torch.Generator().manual_seed(pixels))
    whole = activated_columns(method, scores, seen)
    order = torch.randperm(pixels, generator=torch.Generator().manual_seed(1))
    assert torch.equal(activated_columns(method, scores[order], seen), whole[order])
    planes = scores.t().contiguous().view(1, classes, 1, pixels)
    assert torch.equal(activated_planes(method, planes, seen)[0, :, 0].t(), whole)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(activated_columns(method, scores, seen), whole)
    finally:
        torch.set_num_threads(threads)

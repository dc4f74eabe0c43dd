"""From scores to the confusion matrix, beside mmsegmentation and torchmetrics; how the cost grows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.data.reader import Reader, Sample
from benchmarks.protocol import Inference
from benchmarks.scoring.confusion import count
from benchmarks.scoring.evaluate import Evaluation, best_classes, evaluate
from benchmarks.scoring.seen_shift import ShiftSweep, shift_grid
from methods.method import Images, Method, Vocabulary
from tests.speed.compare import Row, alternate, once
from tests.speed.peak_memory import peak_mib

TRUTH = (480, 640)
CANVAS = (512, 683)
GRID = (32, 43)


class Given(Method):
    """A method whose scores are there already."""

    def __init__(self, grid: Tensor):
        super().__init__()
        self._grid = grid

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """The grid, whatever the picture."""
        return self._grid


def vocabulary(classes: int) -> Vocabulary:
    """Three of four are seen."""
    names = tuple(f"c{index}" for index in range(classes))
    return Vocabulary(names, tuple(index % 4 < 3 for index in range(classes)), names, ("{}",))


def rows(repeats: int) -> Iterator[Row]:
    """Counting, and the whole way from scores to the matrix."""
    for classes in (20, 171):
        yield from _counting(classes, repeats)
    for classes, target in ((171, 2.5), (20, 4.0)):
        yield _whole_way(classes, target, repeats, sweep=False)
        yield _whole_way(classes, None, repeats, sweep=True)
        yield _plain(classes, repeats)


def growth(repeats: int) -> dict[str, dict[int, float]]:
    """Processor seconds of one image's way to the matrices, against classes and the truth's pixels; of many images."""
    found: dict[str, dict[int, float]] = {"evaluation against classes": {}, "evaluation against pixels": {}}
    for classes in (20, 60, 171, 400, 1000):
        found["evaluation against classes"][classes] = once(_ours(_grid(classes), TRUTH, CANVAS), repeats).processor
    for height in (240, 480, 960, 1920):
        truth = (height, height * 4 // 3)
        seconds = once(_ours(_grid(60), truth, CANVAS), repeats).processor
        found["evaluation against pixels"][truth[0] * truth[1]] = seconds
    images = {count: once(_evaluation(count), repeats).processor for count in (8, 16, 32, 64)}
    return found | {"evaluation against images": images}


class Repeated(Reader):
    """One photo-sized picture of noise, many times."""

    mask_rule, partial = "drawn", False

    def __init__(self, count: int, classes: int):
        self.ids = tuple(map(str, range(count)))
        self._image = np.random.default_rng(0).integers(0, 256, (*TRUTH, 3), dtype=np.uint8)
        self._mask = _truth(classes).numpy().astype(np.uint8)

    def read(self, index: int) -> Sample:
        """The same for every index."""
        return Sample(self.ids[index], self._image, self._mask)


def _evaluation(count: int, classes: int = 20) -> Callable[[], Evaluation]:
    """The whole of `evaluate` on so many images, what a method needs left out."""
    method, reader, words = Given(_grid(classes)), Repeated(count, classes), vocabulary(classes)
    table = np.arange(256, dtype=np.uint8)
    return lambda: evaluate(method, reader, words, Inference(short_side=CANVAS[0]), table)


def _grid(classes: int) -> Tensor:
    return torch.randn(1, classes, *GRID, generator=torch.Generator().manual_seed(classes))


def _truth(classes: int, size: tuple[int, int] = TRUTH) -> Tensor:
    labels = np.random.default_rng(classes).integers(0, classes, (size[0] // 40, size[1] // 40))
    whole = torch.from_numpy(np.kron(labels, np.ones((40, 40), dtype=np.int64)))
    whole[::40] = 255 if classes < 250 else -1
    return whole


def _counting(classes: int, repeats: int) -> Iterator[Row]:
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    metric = _iou_metric()
    truth = _truth(classes)
    prediction = torch.randint(0, classes, TRUTH, generator=torch.Generator().manual_seed(1))
    matrix = count(truth, prediction, classes)
    hit, union, *_ = metric(prediction, truth, classes, 255)
    assert torch.equal(matrix.diagonal().double(), hit.double())
    assert torch.equal((matrix.sum(0) + matrix.sum(1) - matrix.diagonal()).double(), union.double())

    def ours() -> Tensor:
        return count(truth, prediction, classes)

    def torchmetrics() -> Tensor:
        return multiclass_confusion_matrix(prediction, truth, classes, ignore_index=255)

    assert torch.equal(torchmetrics(), matrix)
    what = f"counting 480x640, C={classes}"
    mmseg = alternate(ours, lambda: metric(prediction, truth, classes, 255), repeats * 5)
    yield Row(what, "mmsegmentation IoUMetric", *mmseg, target=10.0)
    yield Row(what, "torchmetrics confusion matrix", *alternate(ours, torchmetrics, repeats * 5))


def _whole_way(classes: int, target: float | None, repeats: int, *, sweep: bool) -> Row:
    grid, truth, metric = _grid(classes), _truth(classes), _iou_metric()
    matrix = _to_matrix(grid, truth)

    def theirs() -> tuple:
        scores = interpolate(grid, size=CANVAS, mode="bilinear", align_corners=False)
        scores = interpolate(scores, size=TRUTH, mode="bilinear", align_corners=False)
        return metric(scores.argmax(dim=1)[0], truth, classes, 255)

    hit, union, *_ = theirs()
    found = matrix()
    assert torch.equal(found.diagonal().double(), hit.double())
    assert torch.equal((found.sum(0) + found.sum(1) - found.diagonal()).double(), union.double())
    ours = _ours(grid, TRUTH, CANVAS) if sweep else matrix
    memory = f"peak memory {peak_mib(ours):.0f} against {peak_mib(theirs):.0f} MiB"
    what = f"32x43 scores of a 512x683 image to {'matrices at 41 shifts' if sweep else 'the matrix'}, C={classes}"
    peer = "mmsegmentation's resize, resize, argmax, IoUMetric"
    return Row(what, peer, *alternate(ours, theirs, repeats), target=target, note=memory)


def _plain(classes: int, repeats: int) -> Row:
    from benchmarks.scoring import bands

    grid = _grid(classes)
    ours = _best(grid, TRUTH, CANVAS)

    def plain() -> tuple:
        fits = bands.fits
        bands.fits = lambda *_: False
        try:
            return ours()
        finally:
            bands.fits = fits

    fast, slow = list(chain(*ours())), list(chain(*plain()))
    assert all(torch.equal(one, other) for one, other in zip(fast, slow, strict=True))
    return Row(f"best classes by bands, C={classes}", "our plain way", *alternate(ours, plain, max(3, repeats // 2)))


def _best(grid: Tensor, truth: tuple[int, int], canvas: tuple[int, int]) -> Callable[[], tuple]:
    """Each pixel's best classes; the picture is given at its resized size."""
    method, words = Given(grid), vocabulary(grid.shape[1])
    image, inference = np.zeros((*canvas, 3), dtype=np.uint8), Inference(short_side=min(canvas))
    return lambda: best_classes(method, image, words, inference, truth)


def _to_matrix(grid: Tensor, truth: Tensor) -> Callable[[], Tensor]:
    best = _best(grid, TRUTH, CANVAS)

    def matrix() -> Tensor:
        seen, unseen = best()
        wins = (seen[0] > unseen[0]) | ((seen[0] == unseen[0]) & (seen[1] < unseen[1]))
        return count(truth, torch.where(wins, seen[1], unseen[1]), grid.shape[1])

    return matrix


def _ours(grid: Tensor, size: tuple[int, int], canvas: tuple[int, int]) -> Callable[[], Tensor]:
    """What evaluation does with an image's scores: the matrices at every shift, and the image's own."""
    classes = grid.shape[1]
    sweep = ShiftSweep(classes, shift_grid(0.0, 1.0), 0.0)
    truth, best = _truth(classes, size).flatten(), _best(grid, size, canvas)
    labelled = ((truth >= 0) & (truth < classes)).nonzero()[:, 0]
    there = truth[labelled]

    def run() -> Tensor:
        seen, unseen = ((score.flatten()[labelled], class_.flatten()[labelled]) for score, class_ in best())
        return count(there, sweep.add(there, seen, unseen), classes)

    return run


def _iou_metric() -> Callable:
    with contextlib.redirect_stdout(io.StringIO()):
        from mmseg.evaluation import IoUMetric
    return IoUMetric.intersect_and_union

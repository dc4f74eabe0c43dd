"""Background as a class: the same scores, and background where the best of them stays below a threshold."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring.evaluate import evaluate  # noqa: E402
from benchmarks.scoring.planes import score_chunks, views  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402

NAMES = ("a", "b", "c", "d")
SEEN = (True, False, True, False)
INFERENCE = Inference(short_side=16)


class Colours(Method):
    """A class's score is a mixture of the colours of a pixel, in steps of an eighth, so that ties occur."""

    shift_span = 1.0

    def __init__(self, shift: float = 0.25) -> None:
        super().__init__()
        self.seen_shift = shift

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        x = images.pixels.double() / 255
        weights = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]]
        rows = [weights[NAMES.index(name)] for name in vocabulary.names]
        mixed = torch.einsum("bchw,kc->bkhw", x, torch.tensor(rows, dtype=torch.float64))
        return (mixed * 8).round() / 8


def words(keep: tuple[bool, ...] = (True,) * 4) -> Vocabulary:
    names = tuple(n for n, k in zip(NAMES, keep, strict=True) if k)
    return Vocabulary(names, tuple(s for s, k in zip(SEEN, keep, strict=True) if k), names, ("{}",))


def table(classes: int) -> np.ndarray:
    """Mask value n is class n, the last one background; 255 is ignored."""
    out = np.full(256, 252, dtype=np.uint8)
    out[: classes + 1] = np.arange(classes + 1)
    out[255] = 255
    return out


def slow(method: Colours, reader, vocabulary: Vocabulary, shift: float, threshold: float) -> np.ndarray:
    """Argmax of all scores at a shift, background where none reaches the threshold, counted pixel by pixel."""
    classes = len(vocabulary)
    matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for image, mask in reader.pairs:
        scores = np.zeros((classes, *mask.shape))
        plain = Colours(0.0)
        for members, part in score_chunks(views(plain, image, vocabulary, INFERENCE), mask.shape):
            scores[members] = part.numpy()
        scores -= shift * np.array(vocabulary.seen)[:, None, None]
        said = np.where(scores.max(axis=0) >= threshold, scores.argmax(axis=0), classes)
        np.add.at(matrix, (mask[mask != 255], said[mask != 255]), 1)
    return matrix


@pytest.mark.parametrize("threshold", [-5.0, 0.25, 0.5, 0.625, 5.0])
@pytest.mark.parametrize("keep", [(True, True, True, True), (True, False, True, False), (False, True, False, True)])
def test_every_shift_is_a_plain_argmax_with_a_threshold(random_reader, threshold: float, keep: tuple) -> None:
    """Fails when background wins where a score reaches the threshold, at the method's own shift or at any other."""
    vocabulary = words(keep)
    classes = len(vocabulary)
    reader = random_reader(3, 16, 16, ids=(*range(classes + 1), 255))
    method = Colours()
    found = evaluate(method, reader, vocabulary, INFERENCE, table(classes), background_below=threshold)
    assert found.matrices.shape[1:] == (classes + 1, classes + 1)
    for shift, matrix in zip(found.shifts, found.matrices, strict=True):
        if np.isinf(shift) or shift * 8 % 1 in (0, 0.5):  # shifts that are exact in floating point
            shift = np.clip(shift, -64, 64)  # instead of infinity, where all seen scores would be equal
            np.testing.assert_array_equal(matrix, slow(method, reader, vocabulary, shift, threshold))
    if threshold == -5.0:
        assert found.matrices[np.isfinite(found.shifts)][:, :, classes].sum() == 0
    if threshold == 5.0:
        assert found.matrices[np.isfinite(found.shifts)][:, :, :classes].sum() == 0


def test_a_threshold_that_nothing_misses_changes_nothing(random_reader) -> None:
    """Fails when asking for background changes which class wins."""
    reader = random_reader(2, 16, 16, ids=(0, 1, 2, 3, 255))
    plain = evaluate(Colours(), reader, words(), INFERENCE, table(3))
    asked = evaluate(Colours(), reader, words(), INFERENCE, table(4), background_below=-99.0)
    np.testing.assert_array_equal(asked.matrices[:, :4, :4], plain.matrices)

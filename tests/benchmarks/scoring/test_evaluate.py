"""The evaluation against one that anyone can read: all classes at once, at full size, in NumPy and float64."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring.evaluate import best_classes, evaluate  # noqa: E402
from benchmarks.scoring.planes import score_chunks, views  # noqa: E402
from benchmarks.scoring.seen_shift import ShiftSweep, shift_grid  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402
from splits.errors import DataError, UserError  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[2] / "golden/evaluation/slide_windows.json"
WHOLE = Inference(short_side=16)


def words(seen: list[bool]) -> Vocabulary:
    names = tuple(f"c{index}" for index in range(len(seen)))
    return Vocabulary(names, tuple(seen), names, ("a {}",))


def table(classes: int) -> np.ndarray:
    """Mask value n is class n; 255 is ignored."""
    out = np.full(256, 252, dtype=np.uint8)
    out[:classes] = np.arange(classes)
    out[255] = 255
    return out


class Fake(Method):
    """Scores in float64 from mean colours of cells of about four pixels; each class has its own mixture.

    kind: "random"; "ties" (few distinct values, one for each pixel of the window); "constant" (one value a class).
    """

    shift_span = 1.0

    def __init__(self, kind: str = "random", shift: float = 0.0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.kind, self.seen_shift, self.dtype = kind, shift, dtype
        self.windows: list[torch.Tensor] = []

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        x = images.pixels.double() / 255
        b, _, h, w = x.shape
        if self.kind == "constant":
            values = torch.tensor([sum(name.encode()) * 7 % 5 * 0.3 for name in vocabulary.names], dtype=self.dtype)
            return values[None, :, None, None].expand(b, -1, 1, 1)
        if self.kind == "random":
            x = torch.nn.functional.adaptive_avg_pool2d(x, (-(-h // 4), -(-w // 4)))
        mixtures = [np.random.default_rng(list(name.encode())).normal(size=3) * 4 for name in vocabulary.names]
        out = torch.stack([(x * torch.tensor(m)[:, None, None]).sum(dim=1) - m.sum() / 2 for m in mixtures], dim=1)
        return (out.round() if self.kind == "ties" else out).to(self.dtype)

    def activate(self, scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        if self.kind != "random":
            return super().activate(scores, seen)
        return scores.sigmoid() - self.seen_shift * seen.to(scores)[:, None, None]


def axis_weights(old: int, new: int) -> np.ndarray:
    """`(new, old)`: bilinear with align_corners false along one axis, written out."""
    out = np.zeros((new, old))
    for i in range(new):
        position = max((i + 0.5) * old / new - 0.5, 0.0)
        low = min(int(np.floor(position)), old - 1)
        high = min(low + 1, old - 1)
        out[i, low] += 1 - (position - low)
        out[i, high] += position - low
    return out


def bilinear(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if scores.shape[-2:] == tuple(size):
        return scores
    return axis_weights(scores.shape[-2], size[0]) @ scores @ axis_weights(scores.shape[-1], size[1]).T


def starts(length: int, window: int, stride: int) -> list[int]:
    """Every stride until the end is reached; the last one moved back inside."""
    out, at = [], 0
    while True:
        if at + window >= length:
            return [*out, max(length - window, 0)]
        out.append(at)
        at += stride


def reference(method: Method, image: np.ndarray, vocabulary: Vocabulary, inference: Inference) -> np.ndarray:
    """`(C, H, W)` float64: activated scores of every class at the picture's size, the mirrored ones averaged in."""
    height, width = image.shape[:2]
    scale = inference.short_side / min(height, width)
    h, w = int(np.floor(height * scale + 0.5)), int(np.floor(width * scale + 0.5))
    resized = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR) if (h, w) != (height, width) else image
    side, stride = (inference.window, inference.stride) if inference.window else (max(h, w), max(h, w))
    seen = torch.tensor(vocabulary.seen)
    passes = []
    for flip in (False, True) if inference.flips else (False,):
        whole = resized[:, ::-1] if flip else resized
        total, visits = np.zeros((len(vocabulary), h, w)), np.zeros((h, w))
        for top in starts(h, side, stride):
            for left in starts(w, side, stride):
                crop = whole[top : top + side, left : left + side]
                size = crop.shape[:2]
                pixels = torch.from_numpy(crop.transpose(2, 0, 1).copy())
                grid = method.scores(Images(pixels[None]), vocabulary)[0].double().numpy()
                logits = torch.from_numpy(np.ascontiguousarray(bilinear(grid, size)))[None]
                total[:, top : top + size[0], left : left + size[1]] += method.activate(logits, seen)[0].numpy()
                visits[top : top + size[0], left : left + size[1]] += 1
        passes.append((total / visits)[..., ::-1] if flip else total / visits)
    return bilinear(np.ascontiguousarray(sum(passes) / len(passes)), (height, width))


def predicted(method: Method, image: np.ndarray, vocabulary: Vocabulary, inference: Inference) -> np.ndarray:
    """The prediction of the real thing, every pixel."""
    size = image.shape[:2]
    seen, unseen = best_classes(method, image, vocabulary, inference, size)
    sweep = ShiftSweep(len(vocabulary), shift_grid(method.seen_shift, method.shift_span), method.seen_shift)
    flat = [None if best is None else (best[0].flatten(), best[1].flatten()) for best in (seen, unseen)]
    return sweep.add(torch.zeros(size[0] * size[1], dtype=torch.int64), *flat).view(size).numpy()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def clear(scores: np.ndarray) -> bool:
    """No two best classes so close that rounding decides."""
    if len(scores) == 1:
        return True
    top = np.sort(scores, axis=0)[-2:]
    return bool((top[1] - top[0]).min() > 1e-9)


inferences = st.one_of(
    st.builds(Inference, short_side=st.integers(1, 24), flips=st.booleans()),
    st.tuples(st.integers(1, 24), st.integers(3, 20), st.integers(3, 20), st.booleans()).map(
        lambda t: Inference(short_side=t[0], window=max(t[1:3]), stride=min(t[1:3]), flips=t[3])
    ),
)


@settings(max_examples=120, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    inference=inferences,
    seen=st.lists(st.booleans(), min_size=1, max_size=20),
    shift=st.sampled_from([0.0, 0.1, -0.3]),
    seed=st.integers(0, 50),
)
def test_equal_to_the_slow_one(
    height: int, width: int, inference: Inference, seen: list[bool], shift: float, seed: int
) -> None:
    """Fails when any step differs from the protocol: sizes, windows, order of resizes, averaging, flips, argmax."""
    method, vocabulary, image = Fake(shift=shift), words(seen), picture(height, width, seed)
    expected = reference(method, image, vocabulary, inference)
    for classes, scores in score_chunks(views(method, image, vocabulary, inference), (height, width)):
        np.testing.assert_allclose(scores.numpy(), expected[classes], rtol=0, atol=1e-12)
    assume(clear(expected))
    np.testing.assert_array_equal(predicted(method, image, vocabulary, inference), expected.argmax(axis=0))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (7, 50), (64, 17)])
@pytest.mark.parametrize(
    "inference",
    [WHOLE, Inference(short_side=16, window=16, stride=5), Inference(short_side=7, window=5, stride=4, flips=True)],
)
def test_odd_sizes(size: tuple[int, int], inference: Inference) -> None:
    """Fails when a picture of one pixel, one row or one column is scored otherwise."""
    method, vocabulary, image = Fake(shift=0.1), words([True, False, True]), picture(*size)
    expected = reference(method, image, vocabulary, inference)
    assert clear(expected)
    np.testing.assert_array_equal(predicted(method, image, vocabulary, inference), expected.argmax(axis=0))


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(1, 12),
    seen=st.lists(st.booleans(), min_size=1, max_size=40),
    seed=st.integers(0, 99),
    shift=st.sampled_from([0.0, 1.0, -2.0]),
)
def test_ties_go_to_the_lowest_class(side: int, seen: list[bool], seed: int, shift: float) -> None:
    """Fails when a tie within a chunk, between chunks, or between seen and unseen goes to a later class.

    Scores are whole numbers at the size of the picture: no step of the way may change them.
    """
    method, vocabulary, image = Fake("ties", shift), words(seen), picture(side, side, seed)
    raw = method.scores(Images(torch.from_numpy(image.transpose(2, 0, 1).copy())[None]), vocabulary)[0].numpy()
    expected = (raw - shift * np.array(seen)[:, None, None]).argmax(axis=0)
    np.testing.assert_array_equal(predicted(method, image, vocabulary, Inference(short_side=side)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inference", [WHOLE, Inference(short_side=16, window=9, stride=4, flips=True)])
def test_constant_scores(inference: Inference, dtype: torch.dtype) -> None:
    """Fails when classes that score the same everywhere are told apart by rounding on the way."""
    vocabulary = words([index % 3 != 0 for index in range(12)])
    method = Fake("constant", dtype=dtype)
    values = method.scores(Images(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)), vocabulary)[0, :, 0, 0].numpy()
    assert (values == values.max()).sum() > 1
    assert (predicted(method, picture(23, 31), vocabulary, inference) == values.argmax()).all()


@pytest.mark.parametrize("every", [1, 2])
def test_ties_between_chunks(every: int) -> None:
    """Fails when a tie between two chunks goes to the later one: 70 classes with few distinct scores."""
    method, vocabulary, image = Fake("ties"), words([index % every == 0 for index in range(70)]), picture(12, 12)
    raw = method.scores(Images(torch.from_numpy(image.transpose(2, 0, 1).copy())[None]), vocabulary)[0].numpy()
    tied = (raw == raw.max(axis=0)).sum(axis=0) > 1
    assert tied.any()
    np.testing.assert_array_equal(predicted(method, image, vocabulary, Inference(short_side=12)), raw.argmax(axis=0))


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("classes", [1, 3])
def test_only_seen_or_only_unseen(make_reader, flag: bool, classes: int) -> None:
    """Fails when a vocabulary of one kind, or of one class, cannot be scored at every shift."""
    method, vocabulary, image = Fake(shift=0.1), words([flag] * classes), picture(11, 13)
    expected = reference(method, image, vocabulary, WHOLE).argmax(axis=0)
    np.testing.assert_array_equal(predicted(method, image, vocabulary, WHOLE), expected)
    mask = np.random.default_rng(1).integers(0, classes, (11, 13)).astype(np.uint8)
    found = evaluate(method, make_reader([(image, mask)]), vocabulary, WHOLE, table(classes))
    assert (found.matrices == slow_matrix([mask], [expected], classes)).all()  # no shift changes anything


def slow_matrix(masks: list[np.ndarray], predictions: list[np.ndarray], classes: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for mask, prediction in zip(masks, predictions, strict=True):
        for t, p in zip(mask.ravel(), prediction.ravel(), strict=True):
            if t != 255:
                matrix[t, p] += 1
    return matrix


SEEN = [True, False, True, True, False]
SLIDE = Inference(short_side=20, window=12, stride=7)


@pytest.fixture(scope="module")
def reader(random_reader):
    return random_reader(6, 14, 19)


@pytest.fixture(scope="module")
def found(reader):
    return evaluate(Fake(shift=0.1), reader, words(SEEN), SLIDE, table(5))


def test_matrices_at_every_shift(reader, found) -> None:
    """Fails when the matrix at any shift is not that of a plain argmax with that shift taken off the seen scores."""
    base = Fake(shift=0.0)
    scores = [reference(base, image, words(SEEN), SLIDE) for image, _ in reader.pairs]
    masks = [mask for _, mask in reader.pairs]
    assert len(found.shifts) == 43
    for shift, matrix in zip(found.shifts, found.matrices, strict=True):
        far = np.clip(shift, -1e3, 1e3)  # instead of infinity, where all seen scores would be equal
        shifted = [s - far * np.array(SEEN)[:, None, None] for s in scores]
        assert all(clear(s) for s in shifted)
        np.testing.assert_array_equal(matrix, slow_matrix(masks, [s.argmax(axis=0) for s in shifted], 5))
    assert found.shifts[found.own_index] == 0.1


def test_per_image_counts(reader, found) -> None:
    """Fails when the counts kept for each image are not those of its own prediction, or do not add up."""
    total = np.zeros((5, 5), dtype=np.int64)
    method = Fake(shift=0.1)
    for index, (image, mask) in enumerate(reader.pairs):
        expected = slow_matrix([mask], [predicted(method, image, words(SEEN), SLIDE)], 5)
        rows = found.per_image[found.per_image[:, 0] == index]
        matrix = np.zeros((5, 5), dtype=np.int64)
        matrix[rows[:, 1], rows[:, 2]] = rows[:, 3]
        np.testing.assert_array_equal(matrix, expected)
        total += matrix
    np.testing.assert_array_equal(total, found.matrices[found.own_index])
    assert (found.per_image[:, 3] > 0).all()
    assert found.per_image.dtype == np.int64


def test_ignored_pixels_are_counted_apart(reader, found) -> None:
    """Fails when ignored pixels are scored, or labelled ones ignored."""
    ignored = sum(int((mask == 255).sum()) for _, mask in reader.pairs)
    assert 0 < ignored == found.ignored_pixels
    assert found.matrices[0].sum() + ignored == 6 * 14 * 19
    assert found.images == 6


def rows_by_picture(found, order: list[int]) -> dict[int, list]:
    return {
        picture: found.per_image[found.per_image[:, 0] == place][:, 1:].tolist() for place, picture in enumerate(order)
    }


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [3], [0, 2, 4], [2, 2, 5]])
def test_order_and_company_do_not_matter(reader, found, make_reader, order: list[int]) -> None:
    """Fails when what a picture scores depends on the pictures before it, on their number or order."""
    part = evaluate(Fake(shift=0.1), make_reader(reader.pairs[i] for i in order), words(SEEN), SLIDE, table(5))
    whole = rows_by_picture(found, list(range(6)))
    assert rows_by_picture(part, order) == {picture: whole[picture] for picture in order}
    if len(order) == 6:
        np.testing.assert_array_equal(part.matrices, found.matrices)


def test_seeds_and_modes_do_not_matter(reader, found) -> None:
    """Fails when a global random state, a method left in training mode, or a second pass changes a count."""
    method = Fake(shift=0.1).train()
    torch.manual_seed(99)
    np.random.seed(99)
    for _ in range(2):
        again = evaluate(method, reader, words(SEEN), SLIDE, table(5))
        np.testing.assert_array_equal(again.matrices, found.matrices)
        np.testing.assert_array_equal(again.per_image, found.per_image)
    assert not method.training


def test_order_of_classes_only_permutes(reader, found) -> None:
    """Fails when a class's row depends on where it stands in the vocabulary."""
    order = [4, 2, 0, 3, 1]
    vocabulary = words(SEEN)
    names, seen, texts = (
        tuple(part[i] for i in order) for part in (vocabulary.names, vocabulary.seen, vocabulary.texts)
    )
    turned = Vocabulary(names, seen, texts, vocabulary.templates)
    place = table(5)
    place[order] = np.arange(5)
    again = evaluate(Fake(shift=0.1), reader, turned, SLIDE, place)
    np.testing.assert_array_equal(again.matrices, found.matrices[:, order][:, :, order])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inference", [WHOLE, SLIDE, Inference(short_side=20, window=12, stride=7, flips=True)])
def test_size_of_chunks_does_not_matter(inference: Inference, dtype: torch.dtype) -> None:
    """Fails when a class's scores depend, in a single bit, on how many others go through with it."""
    vocabulary, image = words([index % 4 != 1 for index in range(37)]), picture(21, 33)
    method, whole = Fake(shift=0.1, dtype=dtype), {}
    for chunk in (37, 1, 2, 5, 16):
        parts = {
            c: scores[i]
            for classes, scores in score_chunks(views(method, image, vocabulary, inference), (21, 33), chunk)
            for i, c in enumerate(classes)
        }
        assert sorted(parts) == list(range(37))
        whole = whole or parts
        assert all(torch.equal(parts[c], whole[c]) for c in parts)


def test_chunks_are_all_seen_or_all_unseen() -> None:
    """Fails when seen and unseen classes share a chunk, whose best class would hide one of the two."""
    vocabulary = words([True, False] * 10)
    for classes, _ in score_chunks(views(Fake(), picture(5, 5), vocabulary, WHOLE), (5, 5), 3):
        assert len({vocabulary.seen[c] for c in classes}) == 1


class Watching(Method):
    """Remembers where the windows it is shown lie: the pictures of the test carry their own coordinates."""

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        low, high = images.pixels[:, :2].long(), images.pixels[:, 2].long()
        rows, columns = low[:, 0] + 256 * (high // 16), low[:, 1] + 256 * (high % 16)
        self.seen_windows = [
            [int(r[0, 0]), int(c[0, 0]), int(r[-1, -1]) + 1, int(c[-1, -1]) + 1]
            for r, c in zip(rows, columns, strict=True)
        ]
        return torch.zeros(len(images), 1, 1, 1)


@pytest.mark.parametrize(
    "case", json.loads(GOLDEN.read_text())["windows"], ids=lambda case: f"{case['image_h']}x{case['image_w']}"
)
def test_methods_see_the_windows_of_mmsegmentation(case: dict) -> None:
    """Fails when a window shown to a method is elsewhere than the one it is said to be, or one is left out."""
    h, w = case["image_h"], case["image_w"]
    rows, columns = np.mgrid[0:h, 0:w]
    image = np.stack([rows % 256, columns % 256, rows // 256 * 16 + columns // 256], axis=-1).astype(np.uint8)
    method = Watching()
    inference = Inference(short_side=min(h, w), window=case["crop"][0], stride=case["stride"][0])
    ((_, scores),) = score_chunks(views(method, image, words([True]), inference), (h, w))
    assert method.seen_windows == case["windows_y1_x1_y2_x2"]
    assert (scores == 0).all()  # covered: an average over no window would be NaN


def test_nan_scores_are_refused(reader) -> None:
    """Fails when a diverged method gets a number in a table, which class wins depending on the chunks."""

    class Diverged(Fake):
        def scores(self, images, vocabulary):
            out = super().scores(images, vocabulary)
            out[:, 3, 0, 0] = torch.nan
            return out

    with pytest.raises(UserError, match=r"Diverged: scores among .*c3.* are NaN; nothing was trained here"):
        evaluate(Diverged(), reader, words(SEEN), SLIDE, table(5))
    trained = Diverged()
    trained.weight = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(UserError, match="the weights are broken: train anew"):
        evaluate(trained, reader, words(SEEN), SLIDE, table(5))


def test_masks_of_another_data_set_are_refused(random_reader) -> None:
    """Fails when a stray mask value is counted as some class."""
    with pytest.raises(DataError, match="ids 9"):
        evaluate(Fake(), random_reader(1, 8, 8, ids=(0, 9)), words(SEEN), WHOLE, table(5))


def test_nothing_labelled_and_nothing_there(make_reader, random_reader) -> None:
    """Fails when a picture without labels, or an empty data set, ends in a trace."""
    empty = evaluate(Fake(), random_reader(2, 6, 6, ids=(255,)), words(SEEN), WHOLE, table(5))
    assert (empty.matrices.sum(), empty.ignored_pixels, empty.per_image.shape) == (0, 72, (0, 4))
    nothing = evaluate(Fake(), make_reader([]), words(SEEN), WHOLE, table(5))
    assert (nothing.images, nothing.matrices.sum(), nothing.images_per_second) == (0, 0, None)


def test_watch_is_told_each_image(reader) -> None:
    """Fails when progress is not told, or the count is off by one."""
    told: list[tuple[int, int]] = []
    evaluate(Fake(), reader, words(SEEN), WHOLE, table(5), watch=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]

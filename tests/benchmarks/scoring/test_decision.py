"""Names, probabilities and background: against the softmax over whole maps, written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.data.reader import Reader, Sample
from benchmarks.labels import code
from benchmarks.protocol import Inference, Softmax
from benchmarks.scoring import bands
from benchmarks.scoring.decision import Decision
from benchmarks.scoring.evaluate import best_classes, evaluate
from benchmarks.scoring.external import ClassOrder, find_predictions, score_predictions
from benchmarks.scoring.predict import predicted
from methods.label_codes import IGNORED
from methods.method import Images, Method, Vocabulary
from results.report.overlays import index_png

WHOLE = Inference(short_side=24)


class Maps(Method):
    """Cosines times 100, drawn for each name and window."""

    def __init__(self, names: int, seed: int = 0, spread: float = 0.1):
        super().__init__()
        self.names, self.seed, self.spread = names, seed, spread

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return 100 * self.spread * torch.randn(len(images), len(vocabulary), 3, 4, generator=generator)


def words(count: int, seen: int | None = None) -> Vocabulary:
    names = tuple(f"name {i}" for i in range(count))
    return Vocabulary(names, tuple(i < (count if seen is None else seen) for i in range(count)), names, ("{}",))


def picture(height: int = 24, width: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slowly(cosines: Tensor, owners: tuple[int, ...], softmax: Softmax) -> Tensor:
    """Section by section as the public code has it: softmax over names, maximum over a class's, area, threshold."""
    probabilities = (softmax.scale * cosines).softmax(dim=0)
    classes = torch.stack(
        [probabilities[[i for i, o in enumerate(owners) if o == c]].amax(0) for c in range(max(owners) + 1)]
    )
    if softmax.smallest_share:
        counts = torch.bincount(classes.argmax(0).flatten(), minlength=len(classes))[1:]
        small = counts <= softmax.smallest_share * counts.sum()
        classes[1:][small] = 0
    said = classes.argmax(0)
    said[classes.amax(0) < softmax.threshold] = 0
    return said


def cosines_of(method: Maps, names: int, size: tuple[int, int]) -> Tensor:
    grid = method.scores(Images(torch.zeros(1, 3, 24, 30, dtype=torch.uint8)), words(names)) / 100
    return interpolate(interpolate(grid, (24, 30), mode="bilinear"), size, mode="bilinear")[0]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 50),
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=12),
    threshold=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    share=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
)
def test_probabilities_are_those_of_whole_maps(seed: int, sizes: list[int], threshold: float, share: float) -> None:
    """Fails when chunks change the softmax, a name counts for another class, or a small class keeps a pixel."""
    owners = tuple(c for c, count in enumerate(sizes) for _ in range(count))
    softmax = Softmax(scale=40.0, threshold=threshold, smallest_share=share)
    method = Maps(len(owners), seed)
    expected = slowly(cosines_of(method, len(owners), (24, 30)), owners, softmax)
    decision = Decision(owners, softmax, per_cosine=100.0)
    found, nothing = best_classes(method, picture(), words(len(owners)), WHOLE, (24, 30), decision=decision)
    assert nothing is None
    assert found is not None
    assert (found[1] != expected).float().mean() <= 0.002  # a pixel at the very threshold may be rounded otherwise


@pytest.mark.parametrize("field", ["scale", "threshold", "smallest_share"])
def test_a_changed_constant_changes_predictions(field: str) -> None:
    """Fails when a constant of the protocol is not looked at."""
    owners = tuple(range(20))
    values = {"scale": 40.0, "threshold": 0.3, "smallest_share": 0.04}
    other = values | {field: {"scale": 60.0, "threshold": 0.5, "smallest_share": 0.1}[field]}
    maps = [
        predicted(
            Maps(20, 3), picture(), words(20), WHOLE, (24, 30), decision=Decision(owners, Softmax(**which), 100.0)
        )
        for which in (values, other)
    ]
    assert (maps[0] != maps[1]).mean() > 0.02


def test_the_best_name_decides_without_probabilities() -> None:
    """Fails when scores of a class's names are averaged, or a tie goes to a later class."""
    owners = (0, 0, 1, 2, 2, 2)
    method = Maps(6, 1)
    names = cosines_of(method, 6, (24, 30)).argmax(0)
    said = predicted(method, picture(), words(6), WHOLE, (24, 30), decision=Decision(owners))
    np.testing.assert_array_equal(said, torch.tensor(owners)[names].numpy())


@pytest.mark.parametrize("names", [4, 150])  # of one chunk of names, and of several
def test_equal_names_of_two_classes_go_to_the_first(names: int) -> None:
    """Fails when "bed" as a word for background and as a class of its own is given to the class."""

    class Twice(Method):
        def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
            return torch.ones(len(images), names, 2, 2)

    owners = (0, 0, *range(1, names - 1))
    for decision in (Decision(owners, Softmax(scale=40.0), 100.0), Decision(owners)):
        assert (predicted(Twice(), picture(), words(names), WHOLE, (24, 30), decision=decision) == 0).all()


class Drawn(Reader):
    """Pictures with truths of 16 bits: 847 classes, some pixels ignored, class 255 among them."""

    partial, mask_rule = False, "drawn"

    def __init__(self, count: int = 3, classes: int = 847):
        self.ids = tuple(map(str, range(count)))
        self.classes = classes

    def read(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        mask = rng.integers(0, self.classes, (24, 30)).astype(np.uint16)
        mask[rng.random((24, 30)) < 0.3] = 65535
        mask[:3] = 255
        return Sample(self.ids[index], picture(), mask)


def test_counts_of_847_classes_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when labels of 16 bits are cut to bytes, class 255 is left out, or 65535 is counted."""
    names, reader = words(847), Drawn()
    table = np.full(65536, code(252, np.uint16), np.uint16)
    table[:847], table[65535] = np.arange(847), code(IGNORED, np.uint16)
    method = Maps(847, 5)
    expected = np.zeros((847, 847), np.int64)
    for index in range(len(reader)):
        sample = reader.read(index)
        said = cosines_of(method, 847, (24, 30)).argmax(0).numpy()
        there = sample.mask != 65535
        np.add.at(expected, (sample.mask[there].astype(int), said[there]), 1)
    for fits in (bands.fits, lambda *_: False):  # the fast way, and the plain one
        monkeypatch.setattr(bands, "fits", fits)
        found = evaluate(method, reader, names, WHOLE, table, swept=False)
        np.testing.assert_array_equal(found.matrices[found.own_index], expected)
        assert found.matrices.shape == (1, 847, 847)
        assert expected[255].sum() > 0
        assert found.ignored_pixels == sum(int((reader.read(i).mask == 65535).sum()) for i in range(3))
        rows = found.per_image
        np.testing.assert_array_equal(np.bincount(rows[:, 1], rows[:, 3], minlength=847), expected.sum(1))


def test_847_classes_are_predicted_stored_and_scored_again(tmp_path: Path) -> None:
    """Fails when an index above 255 is cut on its way into a file or out of it, or class 255 is taken for ignored."""
    reader, method, vocabulary = Drawn(2), Maps(847, 5), words(847)
    for index, id_ in enumerate(reader.ids):
        said = predicted(method, reader.read(index).image, vocabulary, WHOLE, (24, 30))
        assert said.dtype == np.uint16
        (tmp_path / f"{id_}.png").write_bytes(index_png(said, 847))
    order = ClassOrder(vocabulary.names)
    table = np.full(65536, code(252, np.uint16), np.uint16)
    table[:847], table[65535] = np.arange(847), code(IGNORED, np.uint16)
    found = find_predictions(tmp_path, order, reader.ids)
    again = score_predictions(found, reader, vocabulary.names, vocabulary.seen, table)
    direct = evaluate(method, reader, vocabulary, WHOLE, table, swept=False)
    np.testing.assert_array_equal(again.matrices, direct.matrices)
    np.testing.assert_array_equal(again.boundary, direct.boundary)
    assert (again.ignored_pixels, again.own_index) == (direct.ignored_pixels, 0)


def test_no_sweep_where_no_class_is_unseen() -> None:
    """Fails when 43 equal matrices of 847 classes are held, or the method's own shift is lost."""
    method = Maps(5, 2)
    method.seen_shift = 0.25
    table = np.full(256, 252, np.uint8)
    table[:5] = range(5)

    class Few(Drawn):
        def read(self, index: int) -> Sample:
            return Sample(self.ids[index], picture(), (np.arange(720) % 5).astype(np.uint8).reshape(24, 30))

    found = evaluate(method, Few(2), words(5), WHOLE, table, swept=False)
    swept = evaluate(method, Few(2), words(5), WHOLE, table)
    np.testing.assert_array_equal(found.shifts, [0.0, 0.25])
    np.testing.assert_array_equal(found.matrices[found.own_index], swept.matrices[swept.own_index])

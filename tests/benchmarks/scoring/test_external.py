"""Stored predictions of other systems, against the evaluation of a method that says the same."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring.evaluate import evaluate  # noqa: E402
from benchmarks.scoring.external import (  # noqa: E402
    ClassOrder,
    Predictions,
    check_files,
    cut_words,
    find_predictions,
    read_order,
    score_predictions,
)
from benchmarks.scoring.planes import score_chunks, views  # noqa: E402
from benchmarks.scoring.predict import predicted  # noqa: E402
from methods.method import Method, Vocabulary  # noqa: E402
from splits.errors import UserError  # noqa: E402
from tests.benchmarks.png import png  # noqa: E402

NAMES = ("cat", "dog", "cow", "bus")
SEEN = (True, False, True, False)
VOCABULARY = Vocabulary(NAMES, SEEN, NAMES, ("a {}",))
TABLE = np.full(256, 252, dtype=np.uint8)
TABLE[:5], TABLE[255] = [255, 0, 1, 2, 3], 255
SIZES = Inference(short_side=12)


class Coarse(Method):
    """Few distinct scores, so that ties occur."""

    def scores(self, images, vocabulary):
        x = torch.nn.functional.avg_pool2d(images.pixels.float() / 255, 4)
        weights = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]])
        return (torch.einsum("cd,bdhw->bchw", weights, x) * 4).round() / 4


def save(folder, reader, method, *, order=NAMES, scores=False, dtype=np.int64):
    """Every prediction of a method, as an index PNG or with all scores, indices in another order of the classes."""
    folder.mkdir()
    index_of = [order.index(name) for name in NAMES]
    for index, id_ in enumerate(reader.ids):
        image = reader.read(index).image
        if scores:
            chunks = list(score_chunks(views(method, image, VOCABULARY, SIZES), image.shape[:2]))
            classes = [index_of[c] for members, _ in chunks for c in members]
            values = torch.cat([s for _, s in chunks]).numpy()
            said = np.broadcast_to(np.array(classes)[:, None, None], values.shape)
            np.savez(folder / f"{id_}.npz", classes=said.astype(dtype), scores=values)
        else:
            said = predicted(method, image, VOCABULARY, SIZES, image.shape[:2])
            Image.fromarray(np.array(index_of, np.uint8)[said]).save(folder / f"{id_}.png")
    return find_predictions(folder, ClassOrder(order), reader.ids)


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]])
def test_indices_count_as_the_method_itself(tmp_path, random_reader, order):
    """Fails when a pixel of stored indices is counted otherwise than the same prediction of a method."""
    reader, method = random_reader(3, 12, 20), Coarse()
    own = evaluate(method, reader, VOCABULARY, SIZES, TABLE)
    stored = score_predictions(save(tmp_path / "p", reader, method, order=order), reader, NAMES, SEEN, TABLE)
    assert stored.matrices.shape == (1, 4, 4)
    assert np.array_equal(stored.matrices[0], own.matrices[own.own_index])
    assert np.array_equal(stored.per_image, own.per_image)
    assert (stored.images, stored.ignored_pixels) == (own.images, own.ignored_pixels)


@pytest.mark.parametrize(("order", "dtype"), [(NAMES, np.int64), (("bus", "cat", "dog", "cow"), np.uint8)])
def test_scores_give_the_same_sweep(tmp_path, random_reader, order, dtype):
    """Fails when the matrix at any shift differs from the method's, ties included."""
    reader, method = random_reader(3, 12, 20), Coarse()
    own = evaluate(method, reader, VOCABULARY, SIZES, TABLE)
    found = save(tmp_path / "p", reader, method, order=order, scores=True, dtype=dtype)
    stored = score_predictions(found, reader, NAMES, SEEN, TABLE)
    assert np.array_equal(stored.shifts, own.shifts)
    assert np.array_equal(stored.matrices, own.matrices)
    assert np.array_equal(stored.per_image, own.per_image)
    assert np.array_equal(stored.boundary, own.boundary)


def test_what_few_classes_do_not_say_is_left_out(tmp_path, random_reader):
    """Fails when a sweep, and the oracle's shift, is made of pixels whose best unseen class is not known."""
    reader, method = random_reader(2, 12, 20), Coarse()
    own = evaluate(method, reader, VOCABULARY, SIZES, TABLE)
    found = save(tmp_path / "p", reader, method, scores=True)
    for path in found.files.values():
        with np.load(path) as content:
            said, scores = content["classes"], content["scores"]
        first = np.lexsort((said, -scores), axis=0)[:1]  # the best class alone, of equals the lowest
        np.savez(path, classes=np.take_along_axis(said, first, 0), scores=np.take_along_axis(scores, first, 0))
    stored = score_predictions(found, reader, NAMES, SEEN, TABLE)
    assert (stored.shifts.tolist(), stored.own_index) == ([0.0], 0)
    assert "no other shift" in cut_words(found, stored, SEEN)[0]
    assert cut_words(found, stored, (True,) * 4) == ()
    assert np.array_equal(stored.matrices[stored.own_index], own.matrices[own.own_index])


def test_every_wrong_file_is_named(tmp_path, random_reader):
    """Fails when a missing, foreign, doubled or misshapen prediction is passed over or not named."""
    reader = random_reader(3, 12, 20)
    folder = tmp_path / "p"
    found = save(folder, reader, Coarse())

    def refusal(ids=reader.ids):
        with pytest.raises(UserError) as caught:
            score_predictions(find_predictions(folder, found.order, ids), reader, NAMES, SEEN, TABLE)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (folder / "picture-1.png").rename(folder / "stranger.png")
    assert "no prediction for picture-1" in refusal()
    assert "is called stranger" in refusal()
    Image.new("L", (19, 12)).save(folder / "picture-1.png")
    (folder / "stranger.png").unlink()
    assert "picture-1 (19x12 instead of 20x12)" in refusal()
    Image.new("RGB", (20, 12)).save(folder / "picture-1.png")
    assert "mode RGB" in refusal()
    Image.new("L", (20, 12), 4).save(folder / "picture-1.png")
    assert "picture-1 holds index 4" in refusal()
    (folder / "picture-1.png").write_bytes(b"no picture")
    assert "cannot be decoded" in refusal()
    np.savez(folder / "picture-1.npz", classes=[1], scores=[1.0])
    assert "both of image picture-1" in refusal()
    (folder / "picture-1.png").unlink()
    assert "some predictions are PNG and some npz" in refusal()


def test_images_that_are_not_scored_may_have_files(tmp_path, random_reader):
    """Fails when the first images of a whole folder cannot be scored, or a file of no image is passed over."""
    reader = random_reader(3, 12, 20)
    save(tmp_path / "p", reader, Coarse())
    order = ClassOrder(NAMES)
    found = find_predictions(tmp_path / "p", order, reader.ids[:1], others=reader.ids)
    assert set(found.files) == {"picture-0"}
    with pytest.raises(UserError, match="is called picture-2"):
        find_predictions(tmp_path / "p", order, reader.ids[:1], others=reader.ids[:2])


def test_background_in_the_order_is_answered_with_what_to_do(tmp_path, random_reader):
    """Fails when whoever has VOC's 21 names is only told that one of them is not scored."""
    reader = random_reader(1, 12, 20)
    found = save(tmp_path / "p", reader, Coarse())
    more = Predictions(found.files, ClassOrder(("background", *NAMES)))
    with pytest.raises(UserError, match=r"leave 'background' out of the order, or score it too, by --background class"):
        score_predictions(more, reader, NAMES, SEEN, TABLE)


def test_files_are_found_as_photos_are(tmp_path):
    """Fails when predictions below a linked folder, in capitals, or named in the other Unicode form are missing."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p/north").symlink_to(tmp_path / "disk")
    for name in (
        tmp_path / "disk" / unicodedata.normalize("NFD", "ü.PNG"),
        tmp_path / "p/a.Png",
        tmp_path / "p/._a.png",
    ):
        Image.new("L", (2, 2)).save(name, format="PNG")
    found = find_predictions(tmp_path / "p", ClassOrder(NAMES), ["north/ü", "a"])
    assert set(found.files) == {"north/ü", "a"}


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_indices_of_few_bits(tmp_path, random_reader, bits):
    """Fails when greys of few bits are stretched: index 1 would be 255, 85 or 17."""
    reader = random_reader(1, 12, 20)
    found = save(tmp_path / "p", reader, Coarse())
    path = found.files[reader.ids[0]]
    png(path, np.asarray(Image.open(path)) % 2, bits)
    stored = score_predictions(found, reader, NAMES, SEEN, TABLE)
    assert stored.matrices.sum() > 0
    assert not stored.matrices[0][:, 2:].any()


def test_interpolated_predictions_are_remarked_on(tmp_path):
    """Fails when predictions that were resized with interpolation are scored without a word."""
    small = np.zeros((20, 20), np.uint8)
    small[4:14, 5:15] = 3
    Image.fromarray(small).resize((80, 80), Image.Resampling.BILINEAR).save(tmp_path / "a.png")
    (line,) = check_files(Predictions({"a": tmp_path / "a.png"}, ClassOrder(NAMES)))
    assert line.startswith("predictions: ids that lie only along the seams")
    Image.fromarray(small).resize((80, 80), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    assert check_files(Predictions({"a": tmp_path / "a.png"}, ClassOrder(NAMES))) == ()


def test_predictions_made_larger_are_remarked_on(tmp_path):
    """Fails when interpolation is not seen as all ids are said somewhere; or one file in three is enough."""
    small, order, files = np.zeros((20, 20), np.uint8), ClassOrder(NAMES), {}
    small[4:14, 5:15], small[16:, :] = 2, 1
    for name, how in (("a", Image.Resampling.BILINEAR), ("b", Image.Resampling.NEAREST), ("c", Image.Resampling.BOX)):
        files[name] = tmp_path / f"{name}.png"
        Image.fromarray(small).resize((80, 80), how).save(files[name])
    (line,) = check_files(Predictions({"a": files["a"]}, order))
    assert line.startswith("predictions: ids that differ by two and more meet over a thin band")
    assert check_files(Predictions(files, order)) == ()


def test_a_class_that_is_thin_in_some_predictions_is_no_interpolation(tmp_path):
    """Fails when README's own trial is warned of: CLIP says a class along an outline here and there."""
    order, files = ClassOrder(NAMES), {}
    for name, size in (("thin", 80), ("whole", 20), ("second", 20)):
        files[name] = tmp_path / f"{name}.png"
        small = np.zeros((20, 20), np.uint8)
        small[4:14, 5:15] = 3 if name == "thin" else 1
        small[:2] = 2 if name != "thin" else 0
        Image.fromarray(small).resize((size, size), Image.Resampling.BILINEAR).save(files[name])
    assert check_files(Predictions({"thin": files["thin"]}, order))
    assert check_files(Predictions(files, order)) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"classes": np.zeros((1, 12, 20), int)}, "has no scores, but classes; expected both"),
        ({"arr_0": np.zeros((12, 20), int)}, "has no classes and no scores, but arr_0; expected both"),
        ({"classes": np.zeros((1, 12, 20), int), "scores": np.zeros((2, 12, 20))}, "expected (k, H, W) twice"),
        ({"classes": np.zeros((1, 12, 20)), "scores": np.zeros((1, 12, 20))}, "whole numbers"),
        ({"classes": np.zeros((1, 12, 20), int), "scores": np.full((1, 12, 20), np.nan)}, "finite"),
        ({"classes": np.zeros((2, 12, 20), int), "scores": np.zeros((2, 12, 20))}, "stands twice"),
        ({"classes": np.array([{}], dtype=object), "scores": np.zeros((1, 12, 20))}, "cannot be read"),
    ],
)
def test_wrong_scores_are_refused(tmp_path, random_reader, content, words):
    """Fails when arrays that are no top-k scores (or hold pickled objects) are counted, or end in a stack trace."""
    reader = random_reader(1, 12, 20)
    np.savez(tmp_path / "picture-0.npz", **content)
    with pytest.raises(UserError, match=words.replace("(", r"\(").replace(")", r"\)")):
        score_predictions(find_predictions(tmp_path, ClassOrder(NAMES), reader.ids), reader, NAMES, SEEN, TABLE)


def test_the_digest_is_of_content_and_order(tmp_path, random_reader):
    """Fails when other predictions, or another meaning of their indices, pass for the same."""
    reader = random_reader(2, 12, 20)
    first, same = (save(tmp_path / name, reader, Coarse()) for name in "ab")
    assert first.sha256(reader.ids) == same.sha256(reader.ids)
    renamed = find_predictions(tmp_path / "a", ClassOrder(NAMES[::-1]), reader.ids)
    assert renamed.sha256(reader.ids) != first.sha256(reader.ids)
    Image.new("L", (20, 12)).save(tmp_path / "b" / "picture-1.png")
    assert same.sha256(reader.ids) != first.sha256(reader.ids)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"classes": []}', '["a", "a"]', "[1]", '{"classes": ["a"], "shift_span": 0}', "[" * 100_000]
)
def test_a_wrong_class_order_is_refused(tmp_path, text):
    """Fails when a file that tells no order of classes is taken for one."""
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(UserError, match=r"classes\.json"):
        read_order(tmp_path / "classes.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_class_order_is_read_as_editors_write_it(tmp_path, random_reader, encoding):
    """Fails when a byte order mark, UTF-16 or a Mac's form of a name makes a class order another one, or none."""
    reader, names = random_reader(1, 12, 20), ("kühe", *NAMES[1:])
    (tmp_path / "o.json").write_bytes(
        json.dumps([unicodedata.normalize("NFD", name) for name in names], ensure_ascii=False).encode(encoding)
    )
    found = Predictions(save(tmp_path / "p", reader, Coarse()).files, read_order(tmp_path / "o.json"))
    for form in ("NFC", "NFD"):
        scored = [unicodedata.normalize(form, name) for name in names]
        assert score_predictions(found, reader, scored, SEEN, TABLE).images == 1
    (tmp_path / "o.json").write_bytes("[é]".encode("latin-1"))
    with pytest.raises(UserError, match="save it as UTF-8"):
        read_order(tmp_path / "o.json")


def test_other_classes_are_refused_by_name(tmp_path, random_reader):
    """Fails when a system that knows other classes is scored as if it knew these."""
    reader = random_reader(1, 12, 20)
    found = save(tmp_path / "p", reader, Coarse())
    (tmp_path / "o.json").write_text(json.dumps(["cat", "dog", "cow", "lorry "]))
    order = read_order(tmp_path / "o.json")
    with pytest.raises(UserError, match="without 'bus' and with 'lorry ', which is"):
        score_predictions(find_predictions(tmp_path / "p", order, reader.ids), reader, NAMES, SEEN, TABLE)
    assert found.order == ClassOrder(NAMES)

"""A person's own data set: the TOML, the reader, the protocol, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import custom
from benchmarks.catalogue import BENCHMARKS, Data, benchmark, eval_side, source, train_side
from benchmarks.data import datasets
from benchmarks.data.verify import verify_part
from benchmarks.data.whole_sets import verify_set
from benchmarks.labels import evaluation_table, training_table
from benchmarks.protocol import Protocol
from results.launch.plan.checks import check_scoring
from splits import loader
from splits.errors import DataError, UserError

EXAMPLE = Path(__file__).parents[1] / "examples" / "farm.toml"
VALUES = {"t0": [0, 1, 2, 255], "t1": [4, 4, 3, 0], "v0": [1, 2, 3, 4], "v1": [0, 0, 255, 2]}


@pytest.fixture
def farm(tmp_path, monkeypatch):
    """The example's TOML with four pictures of 2 x 2; what it registers is forgotten afterwards."""
    for registry in (BENCHMARKS, loader.CUSTOM, datasets._OPENERS, datasets.MASK_RULES):
        for name in ("farm", "own/farm"):
            monkeypatch.setitem(registry, name, None)
            del registry[name]
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for id_, values in VALUES.items():
        Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / "photos" / f"{id_}.JPG")
        Image.fromarray(np.array(values, np.uint8).reshape(2, 2)).save(tmp_path / "masks" / f"{id_}.png")
    (tmp_path / "train.txt").write_text("t0\nt1\n")
    (tmp_path / "val.txt").write_text("v0\nv1\n")
    (tmp_path / "farm.toml").write_text(EXAMPLE.read_text())
    yield tmp_path / "farm.toml"
    for registry in (BENCHMARKS, loader.CUSTOM, datasets._OPENERS, datasets.MASK_RULES):
        for name in ("farm", "own/farm"):
            registry.pop(name, None)
    datasets._ROOTLESS.discard("own/farm")


def changed(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def known(path):
    custom.register(custom.read_toml(path))
    return benchmark("farm")


def test_the_example_has_at_most_ten_lines():
    """Fails when the example that README shows grows."""
    assert len(EXAMPLE.read_text().splitlines()) <= 10


def test_a_toml_becomes_a_benchmark(farm):
    """Fails when classes, folds, lists or mask values are not those of the TOML."""
    bench = known(farm)
    split = bench.split
    assert (bench.custom, split.classes, split.folds[0].unseen) == (True, ("cow", "sheep", "dog"), ("dog",))
    assert (split.ids, split.background_id, split.ignore_id) == ((1, 2, 3), 0, 255)
    reader = Data().open(bench, "val")
    assert reader.ids == ("v0", "v1")
    assert reader.mask(0).ravel().tolist() == [1, 2, 3, 2]  # value 4 is a sheep too
    assert reader.read(1).image.shape == (2, 2, 3)
    truth = evaluation_table(split, split.fold(0))[reader.mask(0)]
    assert truth.ravel().tolist() == [0, 1, 2, 1]
    labels = training_table(split, split.fold(0), setting="inductive")[Data().open(bench, "train").mask(1)]
    assert labels.ravel().tolist() == [1, 1, 255, 255]  # the dog is unseen
    assert loader.load_split("farm") == split


def protocol(bench) -> Protocol:
    train, val = (source(bench, part, Data()) for part in ("train", "val"))
    return Protocol(train=train_side(bench, 0, train), evaluation=eval_side(bench, 0, val, bench.inference))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dog = 3", "dog = 5"),
        ("ignore = 255", "ignore = 254"),
        ("background = 0", "background = 9"),
        ('name = "farm"', 'name = "farm2"'),
        ('unseen = ["dog"]', 'unseen = ["cow"]'),
        ('val = "val.txt"', 'val = "train.txt"'),
    ],
)
def test_whatever_changes_the_numbers_changes_the_hash(farm, old, new, monkeypatch):
    """Fails when two data sets that measure different things share a protocol."""
    before = protocol(known(farm)).hash
    assert protocol(known(farm)).hash == before
    data = custom.read_toml(changed(farm, old, new))
    monkeypatch.setitem(BENCHMARKS, data.name, None)
    monkeypatch.setitem(loader.CUSTOM, data.name, None)
    custom.register(data)
    assert protocol(benchmark(data.name)).hash != before


def test_short_forms(farm):
    """Fails when left out ids, folds or values are filled in otherwise than is said."""
    text = re.sub(r"(?m)^ids = .*$", "", farm.read_text())
    farm.write_text(text.replace('["dog"]                   #', '[["dog"], ["cow", "sheep"]] #'))
    data = custom.read_toml(farm)
    assert data.ids == {"cow": (1,), "sheep": (2,), "dog": (3,)}
    assert [f.unseen for f in data.split.folds] == [("dog",), ("cow", "sheep")]
    farm.write_text(re.sub(r"(?m)^(background|ignore) = .*$", "", farm.read_text()))
    data = custom.read_toml(farm)
    assert (data.ids["cow"], data.background, data.ignore) == ((0,), (), (255,))


def test_patterns_and_ids_with_folders(farm):
    """Fails when files named by a pattern, or lying in sub-folders, are not found."""
    root = farm.parent
    for place, kind in (("photos", "JPG"), ("masks", "png")):
        (root / place / "city").mkdir()
        (root / place / f"v0.{kind}").rename(root / place / "city" / f"v0.{kind}")
    (root / "val.txt").write_text("city/v0\nv1\n")
    changed(changed(farm, '"photos" ', '"photos/{id}.JPG" '), '"masks" ', '"masks/{id}.png" ')
    assert Data().open(known(farm), "val").mask(0).ravel().tolist() == [1, 2, 3, 2]


def test_verify_looks_at_every_file(farm):
    """Fails when `data verify` counts values wrongly or passes over what is wrong with a file."""
    split = known(farm).split
    report = verify_part(split, "val", data_root=None)
    assert (report.present, report.problems) == (2, [])
    assert report.pixels[[0, 1, 2, 3, 4, 255]].tolist() == [2, 1, 3, 1, 0, 1]
    root = farm.parent
    Image.fromarray(np.full((2, 2), 77, np.uint8)).save(root / "masks" / "v0.png")
    Image.new("L", (3, 2), 1).save(root / "masks" / "v1.png")
    (root / "photos" / "t0.JPG").unlink()
    problems = verify_part(split, "val", data_root=None).problems
    assert any("holds ids 77, expected 0..4, 255" in words and "`background`" in words for words in problems)
    assert any("v1.png is 3x2 pixels and its image 2x2" in words for words in problems)
    assert [p.name for p in verify_part(split, "train", data_root=None).missing] == ["t0.jpg"]
    with pytest.raises(DataError, match=r"1 of 2 images or their masks are missing .*first t0\.jpg"):
        Data().open(benchmark("farm"), "train")
    assert Data(subset=True).open(benchmark("farm"), "train").ids == ("t1",)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "farm"', 'name = "../farm"', "it names a folder"),
        ('name = "farm"', 'name = "pascal-5i"', "is a benchmark of this harness"),
        ('name = "farm"', "name = 3", "expected text in quotes"),
        ('name = "farm"', "", "lacks name"),
        ('name = "farm"', "name = ", "cannot be read as TOML"),
        ('name = "farm"', 'name = "farm"\ncolour = 1', "colour"),
        ('["cow", "sheep", "dog"]', '["cow", "sheep", "cow"]', "differ from one another"),
        ('["cow", "sheep", "dog"]', '"cow"', "classes"),
        ('["cow", "sheep", "dog"]', '["cow", ["sheep"], "dog"]', "classes"),
        ("background = 0", "background = 2026-01-02", "date"),
        ('["dog"]', '["dgo"]', "unseen 'dgo' is no class; did you mean dog?"),
        ('["dog"]', '[["dog"], []]', "expected some of the classes, not none"),
        ('["dog"]', '["cow", "sheep", "dog"]', "expected some of the classes"),
        ("sheep = [2, 4]", "sheep = [2, 3]", "mean one thing each"),
        ("dog = 3", "dog = 70000", "within 0..65535"),
        ("dog = 3", "dogs = 3", "`ids` for 'dogs', which is no class; did you mean dog?"),
        (", dog = 3", "", "`ids` without 'dog'"),
        ("dog = 3", 'dog = "x"', "ids"),
        ("background = 0", "background = 1", "mean one thing each"),
        ('train = "train.txt"', 'train = "none.txt"', "cannot be read"),
        ('train = "train.txt"', 'train = "\\u0000"', "cannot be read"),
        ("background = 0", 'background = 0\ntemplates = "none"', "no templates are called"),
        ("background = 0", "background = 0\nstride = 9999", "leaves gaps"),
        ('"cow", "sheep"', '"cow", "Cow "', "alike"),
        ('"cow", "sheep"', '"cow", " "', "empty to CLIP"),
        ("background = 0", 'background = 0\nwords = ["calf"]', "words: expected a table"),
        ("background = 0", "background = 0\nwords = { cow = [] }", "at least one"),
        ("background = 0", "background = 0\nwords = { cow = [1] }", "words.cow.0: expected text"),
        ("background = 0", 'background = 0\nwords = { cow = "sheep" }', "two classes are asked by 'sheep'"),
        ("background = 0", 'background = 0\nwords = { cow = ["cow", "dog"] }', "two classes are asked by 'dog'"),
        ("background = 0", 'background = 0\nwords = { cow = ["cow", "calf"], dog = ["pup", "Calf"] }', "alike"),
        ("background = 0", 'background = 0\nwords = { cow = ["calf", " "] }', "empty to CLIP"),
        ("background = 0", 'background = 0\nwords = { cow = ["calf", "Calf "] }', "alike"),
    ],
)
def test_a_wrong_toml_is_refused_in_one_line(farm, old, new, reason):
    """Fails when a mistake in the TOML ends in a stack trace, or in a benchmark."""
    changed(farm, old, new)
    with pytest.raises(UserError) as caught:
        custom.register(custom.read_toml(farm))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("id_", ["../secret", "/etc/passwd", "a/../../b", "a\\b", "a*"])
def test_ids_cannot_lead_out_of_the_folders(farm, id_):
    """Fails when a line of a list makes the harness read or write elsewhere."""
    (farm.parent / "val.txt").write_text(f"{id_}\n")
    with pytest.raises(UserError, match="no name of a file below a folder"):
        custom.read_toml(farm)


@pytest.mark.parametrize("count", [252, 255, 256, 300])
def test_more_classes_than_labels_hold(farm, count):
    """Fails when verify accepts more classes than run does, or the reason is another."""
    names = [f"c{number}" for number in range(count)]
    text = re.sub(r"(?m)^(ids|ignore|background) = .*$", "", farm.read_text())
    farm.write_text(re.sub(r"(?m)^classes = .*$", f"classes = {json.dumps(names)}", text).replace('"dog"]', '"c1"]'))
    with pytest.raises(UserError, match=f"{count} classes; at most 251"):
        custom.read_toml(farm)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_of_any_editor(farm, encoding, end):
    """Fails when a byte order mark, UTF-16 or another line ending makes another data set, or none."""
    before = custom.read_toml(farm)
    for name in ("farm.toml", "train.txt", "val.txt"):
        path = farm.parent / name
        path.write_bytes(path.read_text().replace("\n", end).encode(encoding))
    assert custom.read_toml(farm) == before


def test_either_form_of_a_class(farm):
    """Fails when a name that an editor wrote in two characters is another class than the same in one."""
    text = farm.read_text().replace("cow", "k\u00fche").replace("k\u00fche =", '"k\u00fche" =')
    farm.write_text(text)
    before = custom.read_toml(farm)
    assert before.classes[0] == "k\u00fche"
    farm.write_text(unicodedata.normalize("NFD", text))
    assert custom.read_toml(farm) == before
    first, rest = text.split("unseen")
    farm.write_text(f"{unicodedata.normalize('NFD', first)}unseen{rest}")
    assert custom.read_toml(farm) == before
    farm.write_text(text.replace("sheep =", '"ku\u0308he" ='))
    with pytest.raises(UserError, match="'k\u00fche' stands there twice, in two Unicode forms"):
        custom.read_toml(farm)


def test_a_background_of_any_value(farm):
    """Fails when a data set's own background is not to be scored because its value is not 0."""
    changed(farm, "background = 0", "background = 9")
    split = known(farm).split
    check_scoring(benchmark("farm"), {"background": "class"})
    table = evaluation_table(split, split.fold(0), background="class")
    assert [int(table[value]) for value in (1, 2, 3, 9)] == [0, 1, 2, 3]
    with pytest.raises(UserError, match="no background to score"):
        check_scoring(benchmark("coco-stuff-156-15"), {"background": "class"})


def test_ids_are_whole_lines(farm):
    """Fails when the copy "v0 (1)" of an image is read as "v0", or brackets and blanks are refused."""
    for name in ("v0 (1)", "v[0]", "v {id}"):
        shutil.copy(farm.parent / "photos/t0.JPG", farm.parent / f"photos/{name}.JPG")
        shutil.copy(farm.parent / "masks/t0.png", farm.parent / f"masks/{name}.png")
    (farm.parent / "val.txt").write_text("v0 (1)\nv[0]\nv {id}\n")
    reader = Data().open(known(farm), "val")
    assert reader.ids == ("v0 (1)", "v[0]", "v {id}")
    assert reader.mask(0).ravel().tolist() == [0, 1, 2, 255]  # t0's, not v0's


def test_an_id_twice_is_named(farm):
    """Fails when a list with an image twice does not say which."""
    (farm.parent / "val.txt").write_text("v0\nv1\nv0\n")
    with pytest.raises(UserError, match="'v0' is listed twice"):
        custom.read_toml(farm)


@pytest.mark.parametrize("lines", ["v0 1\nv1\n", "photos/v0.jpg masks/v0.png\n", "v0.JPG\nv1.JPG\n"])
@pytest.mark.parametrize("subset", [False, True])
def test_lines_with_more_than_an_id_are_refused(farm, lines, subset):
    """Fails when a column after an id is dropped, with --subset the line, or the photo is only called missing."""
    (farm.parent / "val.txt").write_text(lines)
    with pytest.raises(DataError, match="expected one id a line"):
        Data(subset=subset).open(known(farm), "val")


def test_a_mask_with_more_in_its_name(farm):
    """Fails when masks that are there under a longer name are called missing without a word of them."""
    (farm.parent / "masks/v1.png").rename(farm.parent / "masks/v1_mask.png")
    with pytest.raises(DataError, match=r"v1_mask\.png.*give a pattern"):
        Data().open(known(farm), "val")


def test_values_that_nobody_named(farm):
    """Fails when what is ignored by default alone, or a class without a pixel beside it, is not remarked on."""
    pixels = np.zeros(256, np.int64)
    pixels[[0, 1, 255]] = 50, 30, 20
    named = Data().open(known(farm), "val")
    warnings, notes = named.remarks(pixels, whole=True)
    assert warnings == ["no image of sheep, dog, while 255 (20.0% of the pixels) is ignored: is it one of them?"]
    assert (named.remarks(pixels, whole=False), notes) == (([], []), [])
    pixels[255] = 0
    assert named.remarks(pixels, whole=True) == ([], ["no image of sheep, dog"])
    pixels[[2, 3, 255]] = 1
    assert named.remarks(pixels, whole=True) == ([], [])
    farm.write_text(re.sub(r"(?m)^ignore = .*$", "", farm.read_text()))
    (warning,), _ = Data().open(known(farm), "val").remarks(pixels, whole=True)
    assert "is ignored as nobody named it: give `ignore = 255`" in warning


def test_without_unseen_and_without_train(farm) -> None:
    """Fails when a data set without unseen classes needs a fold of them, or a training that nobody asked for."""
    text = farm.read_text()
    farm.write_text("\n".join(line for line in text.splitlines() if not line.startswith(("unseen", "train"))))
    bench = known(farm)
    split = bench.split
    assert (split.parts, split.open_vocabulary, len(split.folds)) == (("val",), True, 1)
    assert split.fold(0).seen == split.classes
    data = source(bench, "train", Data())
    assert data.mask_rule == "nothing is trained"
    side = eval_side(bench, 0, source(bench, "val", Data()), bench.inference)
    assert side.unseen == ()
    assert Protocol(train=train_side(bench, 0, data), evaluation=side).words().startswith("generalised, none unseen")
    assert not verify_part(split, "val", data_root=None).problems
    farm.write_text("\n".join(line for line in text.splitlines() if not line.startswith("train")))
    with pytest.raises(UserError, match="give `train`, or leave both out"):
        custom.read_toml(farm)


def test_words_and_probabilities(farm) -> None:
    """Fails when further words of a class are dropped, or a threshold is taken without a background to say."""
    lines = [line for line in farm.read_text().splitlines() if not line.startswith(("unseen", "classes", "ids"))]
    lines = [line for line in lines if not line.startswith("background")]
    lines += ['classes = ["background", "cow", "dog"]', "ids = { background = 0, cow = [1, 2], dog = [3, 4] }"]
    lines += ['words = { background = ["sky", "grass"], cow = "calf" }', "softmax = { scale = 40.0, threshold = 0.25 }"]
    farm.write_text("\n".join(lines))
    bench = known(farm)
    side = eval_side(bench, 0, source(bench, "val", Data()), bench.inference)
    assert side.queries.names == (("sky", "grass"), ("calf",), ("dog",))
    assert side.queries.texts == ("sky", "calf", "dog")
    assert side.softmax is not None
    assert (side.softmax.scale, side.softmax.threshold) == (40, 0.25)
    farm.write_text("\n".join([*lines[:-2], 'words = { horse = "pony" }']))
    with pytest.raises(UserError, match="`words` for 'horse', which is no class"):
        custom.read_toml(farm)
    farm.write_text("\n".join(lines).replace('"background", "cow", "dog"', '"cow", "background", "dog"'))
    with pytest.raises(UserError, match="as the first class"):
        custom.read_toml(farm)


def test_verify_looks_at_the_words_that_are_asked(farm, capsys) -> None:
    """Fails when verify refuses class names that CLIP is never asked with, or passes over a word that it is."""
    text = farm.read_text().replace("sheep", "Cow")
    farm.write_text(text + 'words = { Cow = ["sheep", "young_sheep"] }\n')
    known(farm)
    verify_set("farm", jobs=1)
    assert "underscore as a sign of its own in 'young_sheep'" in capsys.readouterr().out


def test_words_and_other_names_at_once(farm) -> None:
    """Fails when --class-names drops the first word of a class and goes on asking the further ones."""
    farm.write_text(farm.read_text().replace("cow", "sofa").replace("sheep", "aeroplane"))
    bench = known(farm)
    data = source(bench, "val", Data())
    assert eval_side(bench, 0, data, bench.inference, names="renamed").queries.texts == ("sofa", "airplane", "dog")
    farm.write_text(farm.read_text() + 'words = { sofa = ["couch", "settee"] }\n')
    bench = known(farm)
    assert eval_side(bench, 0, data, bench.inference).queries.names[0] == ("couch", "settee")
    with pytest.raises(UserError, match="farm says itself by which words it is asked; leave --class-names out"):
        eval_side(bench, 0, data, bench.inference, names="renamed")


def test_masks_of_16_bits(farm) -> None:
    """Fails when a value above 255 of an own data set is cut, or counted under another."""
    farm.write_text(farm.read_text().replace("dog = 3", "dog = 700"))
    for id_ in VALUES:
        values = [700 if value == 3 else value for value in VALUES[id_]]
        Image.fromarray(np.array(values, np.uint16).reshape(2, 2)).save(farm.parent / "masks" / f"{id_}.png")
    bench = known(farm)
    report = verify_part(bench.split, "val", data_root=None)
    assert not report.problems
    reader = Data().open(bench, "val")
    mask = reader.mask(0)
    assert mask.dtype == np.uint16
    assert 700 in mask
    truth = evaluation_table(bench.split, bench.split.fold(0))[mask]
    assert bench.split.classes[truth[mask == 700][0]] == "dog"

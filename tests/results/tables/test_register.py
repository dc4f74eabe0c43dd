"""The register of published numbers: complete rows, sources, and the arithmetic of what was printed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

import harness
from benchmarks.scoring.metrics import harmonic
from results.tables.content import gather
from results.tables.published_alone import published_alone
from results.tables.published_numbers import published_table
from results.tables.register import METRICS, OPEN, gains, numbers, open_vocabulary, published
from tests.results.factory import record

# printed hIoU that the printed S and U do not give, however these were rounded
KNOWN = {
    ("CaGNet", "inductive", "coco-stuff-156-15"): 17.9,
    ("CaGNet", "inductive", "context-50-10"): 20.9,
    ("zsseg", "inductive", "voc-15-5"): 77.6,
    ("STRICT", "transductive", "coco-stuff-156-15"): 32.6,
    ("zsseg+ST", "transductive", "voc-15-5"): 78.6,
    ("ZegCLIP", "fully-supervised", "context-50-10"): 58.5,
}


def test_every_number_says_where_it_is_from():
    """Fails if a number has no paper, no way in which it was read, no day, or neither address nor third party."""
    assert len(numbers()) > 250
    for number in numbers():
        assert number.paper
        assert number.read
        assert date.fromisoformat(number.seen) <= date(2026, 12, 31)
        assert re.match(r"https://\S+$", number.url) or number.read.startswith("third party"), number
        assert number.checked == "no" or number.checked.startswith("yes: ")
        assert 0 <= number.value <= 100
        assert number.metric in (*METRICS, "miou", "hiou_gain")
        assert (number.metric == "miou") == (number.kind in ("episodic-binary", OPEN))
        assert (number.kind == "episodic-binary") == bool(number.fold)


def test_no_number_stands_twice():
    """Fails if one source has two values of one thing."""
    keys = [(n.metric, n.method, n.benchmark, n.fold, n.setting, n.backbone, n.source) for n in numbers()]
    assert len(keys) == len(set(keys))


def test_printed_harmonic_means_are_recomputed():
    """Fails if a printed hIoU is not the harmonic mean of its S and U and its row does not say it rightly."""
    found = {}
    for row in published():
        bounds = row.harmonic_range
        if bounds is None or row.hiou is None:
            continue
        mean = float(harmonic(row.miou_seen, row.miou_unseen))
        if not bounds[0] <= row.hiou <= bounds[1]:
            found[row.method, row.setting, row.benchmark] = round(mean, 1)
            assert f"S and U give {mean:.1f}" in row.note, row
        else:
            assert "S and U give" not in row.note, row
    assert found == KNOWN


@pytest.mark.parametrize(
    ("method", "benchmark", "setting", "values"),
    [
        ("ZegCLIP", "voc-15-5", "inductive", (94.6, 91.9, 77.8, 84.3)),
        ("CLIP-RC", "voc-15-5", "fully-supervised", (97.1, 94.1, 93.4, 93.7)),
        ("Cascade-CLIP", "voc-15-5", "transductive", (None, 93.6, 93.2, None)),
        ("SPT-SEG", "coco-stuff-156-15", "transductive", (None, None, None, 49.7)),
    ],
)
def test_rows_by_hand(method, benchmark, setting, values):
    """Fails if the numbers of one row are mixed with another's, or lost."""
    (row,) = [r for r in published() if (r.method, r.benchmark, r.setting) == (method, benchmark, setting)]
    assert tuple(getattr(row, metric) for metric in METRICS) == values


def test_conflicts_are_both_kept_and_labelled():
    """Fails if of two sources that disagree one is dropped, or a reader is not warned."""
    rows = [r for r in published() if (r.method, r.benchmark, r.setting) == ("OTSeg", "voc-15-5", "inductive")]
    assert sorted(r.hiou for r in rows) == [84.5, 87.1]
    assert all("another source prints" in r.note for r in rows)


def test_the_register_is_shown_without_any_run(tmp_path, capsys):
    """Fails if published numbers need runs to be looked at, or a benchmark of the register is left out."""
    assert harness.main(["tables", "--show", "published", "--from", str(tmp_path / "nothing")]) == 0
    shown = capsys.readouterr().out
    assert "| ZegCLIP " in shown
    assert "**voc-15-5: published**" in shown
    assert "**pascal-5i: published (episodic-binary), mIoU**" in shown
    assert "**voc21: published (open-vocabulary), mIoU**" in shown
    kinds = {(n.benchmark, n.kind) for n in numbers() if n.metric != "hiou_gain"}
    assert len(published_alone()) == len(kinds) + 2  # and the open vocabularies together, and the gains


def test_gains_have_a_table_of_their_own():
    """Fails if a gain of the register is printed nowhere, under other benchmarks than its own, or as a value."""
    shown = {name: published_alone([name] if name else ()) for name in ("", "context-49-10", "voc-15-5", "voc21")}
    of = {name: [t for t in tables if "gains" in t.title] for name, tables in shown.items()}
    assert len(of[""][0].frame) == len(list(gains())) == 6
    assert of["context-49-10"] == shown["context-49-10"]
    assert set(of["context-49-10"][0].frame["benchmark"]) == {
        "context-49-10",
        *(f"benchmark {i} (not named in the abstract)" for i in (1, 2)),
    }
    assert [float(c[3]) for c in of["voc-15-5"][0].cells()] == [2.2, 0.9, 1.2]
    assert of["voc21"] == []
    assert [t for t in published_alone(settings=["transductive"]) if "gains" in t.title] == []


def test_pascal_5i_has_the_rows_of_voc_15_5():
    """Fails if the literature's split of pascal-5i is left out where pascal-5i is asked for, or its settings are."""
    found = published_alone(["pascal-5i"])
    assert [table.title.split(":")[0] for table in found] == ["voc-15-5", "generalised", "pascal-5i"]
    assert len(found[0].frame) == sum(row.benchmark == "voc-15-5" for row in published())
    assert {"inductive", "transductive", "fully-supervised"} < set(found[0].frame["setting"])
    assert "The same as fold 3 of pascal-5i." in found[0].notes


OPEN_SETS = {
    *("ade150", "ade847", "cityscapes", "coco-object", "coco-stuff", "coco-stuff-10k"),
    *("pc59", "pc60", "pc459", "voc20", "voc21"),
}


def test_open_vocabulary_numbers_stand_alone():
    """Fails if a number without unseen classes gets among generalised or episodic ones, or under another's name."""
    found = [number for number in numbers() if number.kind == OPEN]
    assert len(found) == 500
    assert {number.benchmark for number in found} == OPEN_SETS
    assert not OPEN_SETS & {number.benchmark for number in numbers() if number.kind != OPEN}
    assert not OPEN_SETS & {row.benchmark for row in published()}
    assert all(number.read.startswith(("own ", "third party: ")) for number in found)
    assert all(number.read.startswith("third party") or number.url for number in found)
    assert not any("index" in f"{number.paper} {number.read}" for number in found)


@pytest.mark.parametrize(
    ("method", "benchmark", "backbone", "own"),
    [
        ("SCLIP", "voc21", "CLIP ViT-B/16", 59.63),
        ("SCLIP", "coco-object", "CLIP ViT-B/16", 33.52),
        ("NACLIP + PAMR", "pc60", "CLIP ViT-B/16", 34.99),
    ],
)
def test_open_vocabulary_rows_by_hand(method, benchmark, backbone, own):
    """Fails if a number of a method's own README is lost or mixed with a rerun's."""
    rows = [n for n in open_vocabulary(benchmark) if (n.method, n.backbone) == (method, backbone)]
    assert [n.value for n in rows if n.read.startswith("own README")] == [own]
    (table,) = [t for t in published_alone([benchmark]) if "open-vocabulary" in t.title]
    assert len(table.frame) == len(list(open_vocabulary(benchmark)))
    assert "no class is unseen" in " ".join(table.notes)


@pytest.mark.usefixtures("toy")
def test_open_vocabulary_numbers_are_beside_no_other_run():
    """Fails if a generalised run gets open-vocabulary rows beside it."""
    (content,) = gather([record()], {})
    for name in OPEN_SETS:
        named = replace(content, split=replace(content.split, name=name))
        assert published_table(named) == []

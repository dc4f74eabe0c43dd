"""Looking at every file of a data set before anything is trained on it: what is missing, broken or another's.

One set of checks for `data verify`, which reads every file again, and for all commands that read data, which go by what
is known of unchanged files. Problems are refused by all of them; what is told stands in records and under tables too.
All are sentences, one line each; what was counted is compared with what is recorded of the full set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import voc
from benchmarks.data.coco import CocoReader
from benchmarks.data.datasets import open_reader
from benchmarks.data.file_facts import MaskFacts
from benchmarks.data.folders import FolderReader, near
from benchmarks.data.known_files import facts_of
from benchmarks.data.listing import PICTURES, some
from benchmarks.data.mask_file import read_raw
from benchmarks.data.reader import Reader, Watch
from benchmarks.data.survey import Survey, palette_problems, seam_words, surveyed
from splits.loader import Split, read_facts, read_list

SHOWN: Final = 3  # missing files named in one line
MANY: Final = 8  # classes
OFFICIAL_TRAIN: Final = "voc2012_seg_train_1464"


@dataclass
class Report:
    """What was found of one part."""

    part: str
    expected: int
    present: int = 0
    problems: list[str] = field(default_factory=list)  # no number may be made of it
    warnings: list[str] = field(default_factory=list)  # what a reader of numbers must know
    missing: list[Path] = field(default_factory=list)
    near: str = ""  # what may be meant by a missing file
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))  # of each id
    images: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))  # that hold each id
    survey: Survey | None = None  # None where the pictures are drawn


def verify_part(
    split: Split,
    part: str,
    *,
    data_root: str | Path | None,
    year: str = "",
    jobs: int = 1,
    watch: Watch = lambda done, total: None,
) -> Report:
    """Read every file of one part of a benchmark's data set. Raises DataError where the data set is not found."""
    reader = open_reader(split, part, data_root=data_root, subset=True, year=year)
    assert isinstance(reader, FolderReader), f"{split.name} lies in no folder"
    reader.prepare(watch, jobs=jobs)
    report = checked(split, part, reader, fresh=True, jobs=jobs, watch=watch)
    report.missing, report.near = list(reader.part.missing()), near(reader.part)
    return report


def checked(
    split: Split,
    part: str,
    reader: Reader,
    *,
    fresh: bool = False,
    jobs: int = 1,
    watch: Watch = lambda done, total: None,
) -> Report:
    """What is wrong with the files that a reader reads. Of drawn pictures there are none, and nothing is.

    fresh: read them all again, also those that have not changed since they were. Masks must be prepared.
    """
    survey = surveyed(reader, fresh=fresh, jobs=jobs, watch=watch)
    if survey is None:
        return Report(part, len(reader), len(reader))
    behind = survey.reader
    report = Report(part, behind.part.count, len(survey.ids), survey=survey)
    report.pixels, report.images = survey.pixels()
    report.problems = [*survey.file_problems()]
    if split.custom_lists:
        report.warnings += [f"{part}: {line}" for line in seam_words(survey.masks)]
    elif split.dataset == "voc2012":
        report.warnings += _against_voc(split, part, survey)
    if not behind.partial and len(survey.ids) == len(behind):
        report.warnings += _against_records(split, part, report)
        if isinstance(behind, CocoReader):
            report.warnings += _annotated(split, part, behind)
    return report


def overlap(split: Split, *, data_root: str | Path | None, year: str = "") -> tuple[str, ...]:
    """The ids that train and val share, of those that are there."""
    train, val = (open_reader(split, p, data_root=data_root, subset=True, year=year).ids for p in ("train", "val"))
    return tuple(sorted(set(train) & set(val)))


@dataclass(frozen=True)
class Across:
    """What no part of a custom data set shows alone, in sentences."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # nothing is wrong, but a reader of numbers should know


def across(split: Split, surveys: Sequence[Survey]) -> Across:
    """Images in both lists, palettes that differ, photos under two names, values and classes of all masks.

    surveys: of the parts that are read, train first. Shipped lists share nothing, and official masks have one palette.
    """
    if not split.custom_lists or not surveys:
        return Across()
    shared = sorted(set(split.custom_lists.get("train", ())) & set(split.custom_lists["val"]))
    problems = [f"train and val share {len(shared)} images, first {shared[0]}; expected none"] if shared else []
    problems += palette_problems(surveys)
    if any(mask.problem for survey in surveys for mask in survey.masks):
        return Across(tuple(problems))  # masks that cannot be read say nothing of classes
    whole = all(len(survey.ids) == survey.reader.part.count for survey in surveys)
    pixels = sum((survey.stored() for survey in surveys[1:]), surveys[0].stored())
    warnings, notes = surveys[-1].reader.remarks(pixels, whole=whole)
    if len(surveys) == 2:
        warnings += [] if shared else _twice(*surveys)
        notes += _in_one_alone(split, *surveys) if whole else []
    return Across(tuple(problems), tuple(warnings), tuple(notes))


def _in_one_alone(split: Split, train: Survey, val: Survey) -> list[str]:
    """Classes that one part has and the other has not: nobody learns them, or nobody sees whether they were learned."""
    trained, scored = (
        [name for name, id_ in zip(split.classes, split.ids, strict=True) if images[id_]]
        for _, images in (train.pixels(), val.pixels())
    )
    seen = {name for fold in split.folds for name in fold.seen}
    unlearned = [name for name in scored if name not in trained and name in seen]
    unscored = [name for name in trained if name not in scored]
    lines = [f"train: no image of {_few(unlearned)}, so no training labels it"] if unlearned else []
    return [*lines, *([f"val: no image of {_few(unscored)}, so nothing shows whether it is found"] if unscored else [])]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" if len(names) > MANY else "")


def _twice(first: Survey, second: Survey) -> list[str]:
    train, val = ({p.sha256: i for i, p in zip(s.ids, s.photos, strict=True) if p.sha256} for s in (first, second))
    both = [(val[sha256], train[sha256]) for sha256 in val if sha256 in train]
    if not both:
        return []
    return [f"{len(both)} val photos are train photos too, byte for byte, first {both[0][0]}, which is {both[0][1]}"]


def strays(surveys: Sequence[Survey]) -> list[str]:
    """Files that are of no listed id, in words: pictures, and what is none."""
    places = [survey.reader.part.places for survey in surveys]
    beside = [{path for place in of for path in place.others()} for of in places]
    taken = {path for of in places for place in of for path in place.taken}  # photos and masks may share a folder
    paths = sorted(set.intersection(*beside) - taken) if beside else []
    pictures = [path for path in paths if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    others = [path for path in paths if path not in pictures]
    words = [f"{len(pictures)} pictures are of no listed id: {some(pictures)}"] if pictures else []
    return words + ([f"{len(others)} other files are no pictures: {some(others)}"] if others else [])


def missing_words(report: Report) -> Iterator[str]:
    """What is missing of a part, in one line for each kind of file."""
    folders = Counter(path.parent for path in report.missing)
    for folder, count in sorted(folders.items()):
        names = [path.name for path in report.missing if path.parent == folder][:SHOWN]
        more = ", ..." if count > SHOWN else ""
        yield f"{report.part}: {count} of {report.expected} files are missing in {folder}: {', '.join(names)}{more}"
    if report.near:
        yield f"{report.part}:{report.near}"
    unlisted = report.expected - report.present - len({path.stem for path in report.missing})
    if unlisted > 0:
        yield f"{report.part}: {unlisted} of {report.expected} images are not even in the data set's own list"


def _against_voc(split: Split, part: str, survey: Survey) -> Iterator[str]:
    """Masks that are another image's by the published lists, have other colours, or are not equal to the official."""
    reader, flat = survey.reader, bytes(voc.palette())
    colours = [flat[3 * i : 3 * i + 3].hex() for i in range(256)]
    twins, classes, exactly = _known_of_voc(split, part, reader)
    beside = [twins[id_] for id_ in survey.ids if id_ in twins]
    same = dict(zip(beside, facts_of(beside, "mask"), strict=True))
    for index, (id_, facts) in enumerate(zip(survey.ids, survey.masks, strict=True)):
        path = reader.mask_path(index)
        there, wanted = frozenset(facts.values) & (split.legal_ids - {0, 255}), classes.get(id_, frozenset())
        if (
            set(facts.values) <= split.legal_ids
            and not facts.problem
            and (not wanted <= there or (exactly and wanted and there != wanted))
        ):
            yield (
                f"{path} holds classes {sorted(there)}, expected {'' if exactly else 'at least '}{sorted(wanted)}: it "
                "is another image's mask"
            )
        if wrong := [i for i in sorted(there) if facts.colours.get(i, colours[i]) != colours[i]]:
            yield (
                f"{path} has other colours than VOC's for ids {wrong[:5]}: its indices were chosen by a program "
                "and are no class ids; use the official file"
            )
        if id_ in twins and twins[id_] != path:
            yield from _twin(path, facts, twins[id_], same[twins[id_]])


def _twin(path: Path, mask: MaskFacts, twin: Path, official: object) -> Iterator[str]:
    """Whether two masks of one image are equal; the pixels are compared only where the files differ."""
    assert isinstance(official, MaskFacts)
    if official.problem:
        yield official.problem
    elif not mask.problem and mask.sha256 != official.sha256 and not _equal(path, twin):
        yield f"{path} and {twin} differ: expected the same ids; one of the two is another image's"


def _equal(path: Path, other: Path) -> bool:
    return np.array_equal(read_raw(path).values, read_raw(other).values)


def _known_of_voc(
    split: Split, part: str, reader: FolderReader
) -> tuple[dict[str, Path], dict[str, frozenset[int]], bool]:
    """The official mask of each id, and the classes in it as the few-shot lists have them: of train images, all."""
    folder = reader.part.root / voc.OFFICIAL
    twins = {path.stem: path for path in folder.glob("*.png")} if folder.is_dir() else {}
    train = part == "train" or split.tuning
    lists = "fusioner_pascal_trn_fold{}" if train else "hsnet_pascal_val_fold{}"
    found: dict[str, set[int]] = {}
    for fold in range(4):
        for line in read_list(lists.format(fold)):
            id_, _, class_ = line.partition("__")
            found.setdefault(id_, set()).add(int(class_))
    return twins, {id_: frozenset(classes) for id_, classes in found.items()}, train


def _against_records(split: Split, part: str, report: Report) -> Iterator[str]:
    """Where the full set's numbers are recorded: images and pixels of each class, images with any object."""
    if split.dataset == "voc2012":
        kind = "val" if part == "val" and not split.tuning else "train" if split.tuning and part == "val" else "aug"
        if split.tuning and part == "train":
            return
        recorded = read_facts("voc2012_images_per_class")[kind]
        counted = {str(id_): int(report.images[id_]) for id_ in split.ids}
        yield from _differences(split, part, "images", counted, recorded)
        if kind == "val":
            pixels = {str(id_): int(report.pixels[id_]) for id_ in (0, *split.ids, 255)}
            yield from _differences(split, part, "pixels", pixels, read_facts("voc2012_val_pixels")["pixels"])


def _annotated(split: Split, part: str, reader: CocoReader) -> Iterator[str]:
    """Whether as many images have an object as in the official file."""
    if len(reader.pictures) != reader.part.count or split.tuning:
        return
    recorded = read_facts("coco_editions")[reader.year][part]["annotated"]
    counted = sum(picture.annotated for picture in reader.pictures)
    if counted != recorded:
        yield f"{part}: {counted} images have an object, expected {recorded}; the instances file is another"


def _differences(
    split: Split, part: str, what: str, counted: dict[str, int], recorded: dict[str, int]
) -> Iterator[str]:
    names = {str(id_): name for name, id_ in zip(split.classes, split.ids, strict=True)}
    for id_, number in recorded.items():
        if counted[id_] != number:
            yield (
                f"{part}: {names.get(id_, f'id {id_}')}: {counted[id_]} {what}, expected {number}; some masks are not "
                "those of the official set"
            )

"""Looking at every file of a data set before anything is trained on it: what is missing, broken or another's.

Problems are sentences, one line each; what was counted is compared with what is recorded of the full set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data import voc
from benchmarks.data.coco import CocoReader
from benchmarks.data.datasets import open_reader
from benchmarks.data.folders import FolderReader
from benchmarks.data.parallel import mapped
from benchmarks.data.reader import Watch, mask_picture, opened
from splits.errors import DataError
from splits.loader import Split, read_facts, read_list

SHOWN: Final = 3  # missing files named in one line
OFFICIAL_TRAIN: Final = "voc2012_seg_train_1464"


@dataclass(frozen=True)
class Files:
    """What is looked at for one id."""

    id: str
    image: Path
    mask: Path
    twin: Path | None = None  # another file that must hold the same mask
    classes: frozenset[int] = frozenset()  # ids that the mask must hold
    exactly: bool = False  # and no others


@dataclass(frozen=True)
class Look:
    """What was found."""

    problems: tuple[str, ...]
    pixels: NDArray[np.int64] | None  # (256,) of each id; None where the mask could not be read


@dataclass
class Report:
    """What was found of one part."""

    part: str
    expected: int
    present: int = 0
    problems: list[str] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))  # of each id
    images: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))  # that hold each id


def look(files: Files, legal: frozenset[int], colours: tuple[int, ...] | None) -> Look:
    """Open and compare the files of one id. colours: those that a palette must have for the legal ids, or None."""
    problems: list[str] = []
    size: tuple[int, int] | None = None
    try:
        size = _decoded_size(files.image)
    except DataError as error:
        problems.append(str(error))
    try:
        mask = mask_picture(files.mask, legal)
    except DataError as error:
        return Look((*problems, str(error)), None)
    if size is not None and size != mask.size:
        problems.append(
            f"{files.mask} is {mask.size[0]}x{mask.size[1]} pixels and its image {size[0]}x{size[1]} (width x height): "
            "one of the two is resized or belongs to another picture"
        )
    pixels = np.array(mask.histogram(), dtype=np.int64)
    problems += _mask_problems(files, mask, pixels, legal, colours)
    return Look(tuple(problems), pixels)


def verify_part(
    split: Split,
    part: str,
    *,
    data_root: str | Path | None,
    year: str = "",
    jobs: int = 1,
    watch: Watch = lambda done, total: None,
) -> Report:
    """Look at one part of a benchmark's data set. Raises DataError where the data set itself is not found."""
    reader = open_reader(split, part, data_root=data_root, subset=True, year=year)
    assert isinstance(reader, FolderReader), f"{split.name} lies in no folder"
    reader.prepare(watch, jobs=jobs)
    report = Report(part, reader.part.count, len(reader), missing=list(reader.part.missing()))
    looks = mapped(
        partial(look, legal=reader.file_ids, colours=tuple(voc.palette()) if split.dataset == "voc2012" else None),
        list(_files(split, part, reader)),
        jobs=jobs,
    )
    for done, found in enumerate(looks, 1):
        report.problems += found.problems
        if found.pixels is not None:
            pixels = reader.counted(found.pixels)
            report.pixels += pixels
            report.images += pixels > 0
        watch(done, len(reader))
    if not reader.partial:
        report.problems += _against_records(split, part, report)
        if isinstance(reader, CocoReader):
            report.problems += _annotated(split, part, reader)
    return report


def overlap(split: Split, *, data_root: str | Path | None, year: str = "") -> tuple[str, ...]:
    """The ids that train and val share, of those that are there."""
    train, val = (open_reader(split, p, data_root=data_root, subset=True, year=year).ids for p in ("train", "val"))
    return tuple(sorted(set(train) & set(val)))


def missing_words(report: Report) -> Iterator[str]:
    """What is missing of a part, in one line for each kind of file."""
    folders = Counter(path.parent for path in report.missing)
    for folder, count in sorted(folders.items()):
        names = [path.name for path in report.missing if path.parent == folder][:SHOWN]
        more = ", ..." if count > SHOWN else ""
        yield f"{report.part}: {count} of {report.expected} files are missing in {folder}: {', '.join(names)}{more}"
    unlisted = report.expected - report.present - len({path.stem for path in report.missing})
    if unlisted > 0:
        yield f"{report.part}: {unlisted} of {report.expected} images are not even in the data set's own list"


def _decoded_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture that can be decoded to its end; at an eighth of the size, which reads all of it."""
    try:
        with Image.open(path) as picture:
            size = picture.size
            picture.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
            picture.load()
            return size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        opened(path, "image")  # says in one line what is wrong
        raise DataError(f"image {path} cannot be decoded; the file is broken: copy it again") from None


def _mask_problems(
    files: Files, mask: Image.Image, pixels: NDArray[np.int64], legal: frozenset[int], colours: tuple[int, ...] | None
) -> Iterator[str]:
    there = frozenset(np.flatnonzero(pixels).tolist()) & (legal - {0, 255})
    if files.classes and (not files.classes <= there or (files.exactly and there != files.classes)):
        yield (
            f"{files.mask} holds classes {sorted(there)}, expected {'' if files.exactly else 'at least '}"
            f"{sorted(files.classes)}: it is another image's mask"
        )
    if colours is not None and mask.mode == "P":
        own = mask.getpalette() or []
        wrong = [i for i in sorted(there) if tuple(own[3 * i : 3 * i + 3]) != colours[3 * i : 3 * i + 3]]
        if wrong:
            yield (
                f"{files.mask} has other colours than VOC's for ids {wrong[:5]}: its indices were chosen by a program "
                "and are no class ids; use the official file"
            )
    if files.twin is not None:
        try:
            if not np.array_equal(np.asarray(mask), np.asarray(mask_picture(files.twin, legal))):
                yield f"{files.mask} and {files.twin} differ: expected the same ids; one of the two is another image's"
        except DataError as error:
            yield str(error)


def _files(split: Split, part: str, reader: FolderReader) -> Iterable[Files]:
    twins, classes, exactly = _known_of_voc(split, part, reader) if split.dataset == "voc2012" else ({}, {}, False)
    for index, id_ in enumerate(reader.ids):
        path = reader.mask_path(index)
        twin = twins.get(id_)
        yield Files(
            id_,
            reader.image_path(index),
            path,
            twin if twin != path else None,
            classes.get(id_, frozenset()),
            exactly and id_ in classes,
        )


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

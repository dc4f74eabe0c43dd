"""COCO 2014 and 2017 in their official layouts: things drawn from instances_*.json, and COCO-Stuff's pixel maps.

Lin et al., ECCV 2014; Caesar et al., "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018. Ids of images are the
twelve digits that file names end in, the same in both editions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.folders import FolderReader, Part, below
from benchmarks.data.instances import RULE, Picture, Prepared, check_drawn, prepared
from benchmarks.data.listing import files
from benchmarks.data.mapped import MappedReader
from benchmarks.data.mask_file import Mask
from benchmarks.data.reader import Watch
from splits.errors import AbsentData, DataError
from splits.loader import Split, read_facts, read_list, without

PLACES: Final = ("coco", "COCO", "coco{year}", "COCO{year}", ".")  # below a data root
INSIDE: Final = ("", "images/")  # of images, below that
ANNOTATIONS: Final = "annotations/instances_{part}{year}.json"
MAPS: Final = ("stuffthingmaps", "stuffthingmaps_trainval2017", "annotations")  # of COCO-Stuff's masks
STUFF_RULE: Final = "stuffthingmaps"
OBJECT_RULE: Final = "stuffthingmaps, things by rank, all else background"  # GroupViT's, and of all that followed it
MADE_STUFF, MADE_OBJECT = "_labelTrainIds", "_instanceTrainIds"  # files that mmsegmentation's scripts make of the maps
THINGS: Final = 91  # ids of the pixel maps below it are things
SOURCE: Final = (
    "the images of {part} {year} and annotations_trainval{year}.zip from https://cocodataset.org/#download, unpacked "
    "side by side"
)
STUFF_SOURCE: Final = (
    "train2017.zip and val2017.zip from https://cocodataset.org/#download, and stuffthingmaps_trainval2017.zip from "
    "https://github.com/nightrome/cocostuff unpacked as stuffthingmaps"
)


class CocoReader(FolderReader):
    """COCO things: 0 is background, 1..80 the classes. The masks are drawn when first needed."""

    def __init__(self, part: Part, split: Split, made: Prepared, *, subset: bool, year: str) -> None:
        super().__init__(part, split.legal_ids, RULE, subset=subset, year=year)
        self._made = made

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every entry of the instances file."""
        return self._made.pictures

    @property
    def truth_sha256(self) -> str:
        """That of the instances file, with the version of what draws it."""
        return self._made.truth_sha256

    def prepare(self, watch: Watch = lambda done, total: None, jobs: int = 1) -> None:
        """Draw the masks of the whole instances file, once."""
        self._made.draw(watch, jobs)

    def mask_path(self, index: int) -> Path:
        """Where the drawn mask lies; drawn now if need be."""
        self._made.draw()
        return super().mask_path(index)

    def mask(self, index: int) -> Mask:
        """The mask of `ids[index]` alone, as it was drawn. Raises DataError where it was changed since."""
        mask = super().mask(index)
        check_drawn(self.mask_path(index), cast(NDArray[np.uint8], mask))
        return mask


def open_coco(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """COCO things of one edition."""
    official = _official(split, part)
    folder = _found(split, roots, official, year, SOURCE)
    made = prepared((folder / ANNOTATIONS.format(part=official, year=year)).resolve())
    images = _images(folder, f"{official}{year}")
    pictures = {picture.id: picture for picture in made.pictures}
    listed, count = _listed(split, part, tuple(pictures), _count(official, year))
    _check_edition(split, listed, pictures, made.source)
    there = files(images, ".jpg")  # by whole name: 2014's begin with COCO_train2014_
    here = Part(
        name=f"{split.name} {part}",
        listed=listed,
        count=count,
        images={i: there[p.file[:-4]] for i, p in pictures.items() if p.file[:-4] in there},
        masks={id_: made.masks / f"{id_}.png" for id_ in pictures},  # every image of the file has one, if an empty one
        where=lambda id_: (images / (pictures[id_].file if id_ in pictures else f"*{id_}.jpg"), made.source),
        root=folder,
        source=SOURCE.format(part=official, year=year),
    )
    return CocoReader(here, split, made, subset=subset, year=year)


def _check_edition(split: Split, listed: Sequence[str], pictures: Collection[str], source: Path) -> None:
    if not any(id_ in pictures for id_ in listed):
        raise DataError(
            f"{split.name}: none of the {len(listed)} listed images is in {source}; is it the file of another part or "
            "edition?"
        )


def open_stuff(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """COCO-Stuff: the 182 ids of the pixel maps from 0 (11 of them never used), 255 unlabelled.

    Where there are no maps, the files that mmsegmentation makes of them: the 171 classes in order, the same truth.
    """
    here, made = _of_maps(split, part, roots, year, MADE_STUFF)
    if not made:
        return FolderReader(here, split.legal_ids, STUFF_RULE, subset=subset, year=year)
    assert split.background_id is not None, "COCO-Stuff has unlabelled pixels"
    meaning = dict(enumerate(split.ids)) | {split.background_id: split.background_id}
    return MappedReader(here, split, meaning, STUFF_RULE, subset=subset, year=year)


def open_object(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """COCO-Object: 0 is background, 1..80 the things, all of COCO-Stuff's maps; stuff and unlabelled are background.

    Where there are no maps, the files that GroupViT's script makes of them, the same truth.
    """
    here, made = _of_maps(split, part, roots, year, MADE_OBJECT)
    if made:
        return FolderReader(here, split.legal_ids, OBJECT_RULE, subset=subset, year=year)
    return MappedReader(here, split, object_meaning(), OBJECT_RULE, subset=subset, year=year)


def object_meaning() -> dict[int, int]:
    """Id of the pixel maps, from 0, to that of COCO-Object: the rank of a thing among those that occur, from 1."""
    facts = read_facts("cocostuff_156_15")
    never = {int(id_) for id_ in facts["never_annotated_raw182"]}
    occurring = [id_ for id_ in range(182) if id_ not in never]
    things = [id_ for id_ in occurring if id_ < THINGS]
    return dict.fromkeys([*occurring, 255], 0) | {id_: rank for rank, id_ in enumerate(things, 1)}


def _of_maps(split: Split, part: str, roots: Sequence[Path], year: str, ending: str) -> tuple[Part, bool]:
    """The files of a part with the pixel maps, or with the masks of that ending where those alone are there."""
    official = _official(split, part)
    name = f"{official}{year}"
    folder = _found(split, roots, official, year, STUFF_SOURCE)
    images, maps = _images(folder, name), _maps(folder, name)
    found = files(images, ".jpg")
    masks, after = {id_: path for id_, path in files(maps, ".png").items() if "_" not in id_}, ".png"
    if not masks and (made := files(maps, f"{ending}.png")):
        masks, after = made, f"{ending}.png"
    listed, count = _listed(split, part, tuple(sorted(found.keys() | masks.keys())), _count(official, year))
    here = Part(
        name=f"{split.name} {part}",
        listed=listed,
        count=count,
        images=found,
        masks=masks,
        where=lambda id_: (images / f"{id_}.jpg", maps / f"{id_}{after}"),
        root=folder,
        source=STUFF_SOURCE,
    )
    return here, after != ".png"


def _official(split: Split, part: str) -> str:
    """The official part that the images of a benchmark's part lie in."""
    if part not in ("train", "val"):
        raise DataError(f"{split.name} has no part {part!r}; COCO has: train, val")
    return split.val_from if part == "val" else part


def _count(official: str, year: str) -> int:
    return read_facts("coco_editions")[year][official]["images"]


def _listed(split: Split, part: str, there: tuple[str, ...], count: int) -> tuple[tuple[str, ...], int]:
    """The ids of a part, in order, and how many there should be: a shipped list's, else the data set's own."""
    if part == "train" and split.train_without:
        return without(there, split.train_without), count - len(read_list(split.train_without))
    shipped = split.listed(part)
    return (there, count) if shipped is None else (shipped, len(shipped))


def _found(split: Split, roots: Sequence[Path], official: str, year: str, source: str) -> Path:
    """The folder that holds the images of an edition's part, or DataError that says what is there instead."""
    name = f"{official}{year}"
    folders = below(roots, [place.format(year=year) for place in PLACES])
    found = next((f for f in folders if _images(f, name).is_dir()), None)
    if found is not None:
        return found
    others = [y for y in ("2014", "2017") if y != year and any(_images(f, f"{official}{y}").is_dir() for f in folders)]
    hint = f"there is COCO {others[0]}: give --year {others[0]}, " if others and others[0] in split.years else ""
    looked = ", ".join(str(f / name) for f in folders)
    raise AbsentData(
        f"{split.name}: no COCO {year} found; {hint}looked for {looked}; "
        f"put there {source.format(part=official, year=year)}"
    )


def _images(folder: Path, name: str) -> Path:
    """Where the images of a part lie below a folder; the plain place where they lie nowhere."""
    return next((folder / i / name for i in INSIDE if (folder / i / name).is_dir()), folder / name)


def _maps(folder: Path, name: str) -> Path:
    """Where COCO-Stuff's pixel maps lie; the first place where they lie nowhere."""
    return next((folder / m / name for m in MAPS if (folder / m / name).is_dir()), folder / MAPS[0] / name)

"""Val parts that open-vocabulary methods are scored on: ADE20K, Cityscapes, and ADE20K and PASCAL-Context in full.

Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017; Cordts et al., "The Cityscapes Dataset for Semantic
Urban Scene Understanding", CVPR 2016; Mottaghi et al., CVPR 2014. Masks of the two full sets are the 16-bit TIFFs that
detectron2's followers prepare. No image list ships, so the number of images is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.data import context
from benchmarks.data.folders import FolderReader, Part, below, found
from benchmarks.data.listing import files, read_ids
from benchmarks.data.mapped import MappedReader
from splits.errors import DataError
from splits.loader import Split, read_facts

FACTS: Final = "open_vocabulary"
ADE: Final = ("ADEChallengeData2016", "ade/ADEChallengeData2016", ".")  # places below a data root
ADE_FULL: Final = ("ADE20K_2021_17_01", ".")
CITYSCAPES: Final = ("cityscapes", "Cityscapes", ".")
ADE_RULE: Final = "ADEChallengeData2016"
ADE_FULL_RULE: Final = "annotations_detectron2, 847 classes of 16 bits"
CONTEXT_FULL_RULE: Final = "annotations_detectron2, 459 classes of 16 bits"
CITYSCAPES_RULE: Final = "gtFine, train ids"
TRAIN_IDS, LABEL_IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"  # how names of Cityscapes' masks end
ADE_SOURCE: Final = "ADEChallengeData2016.zip from http://data.csail.mit.edu/places/ADEchallenge/, unpacked"
ADE_FULL_SOURCE: Final = (
    "ADE20K_2021_17_01 from https://groups.csail.mit.edu/vision/datasets/ADE20K/, with images_detectron2 and "
    "annotations_detectron2 as MaskFormer's datasets/prepare_ade20k_full_sem_seg.py makes them"
)
CONTEXT_FULL_SOURCE: Final = (
    "VOCtrainval_03-May-2010.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2010/, annotations_detectron2/"
    "pc459_val as CAT-Seg's datasets/prepare_pascal_context_459.py makes it, and the image list of PASCAL-Context"
)
CITYSCAPES_SOURCE: Final = (
    "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from https://www.cityscapes-dataset.com, unpacked side "
    "by side"
)


def open_ade(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """ADE20K's 150 classes: 0 is unlabelled, 1..150 the classes."""
    folder = found(split.name, "ADE20K", below(roots, ADE), "annotations/validation", ADE_SOURCE)
    images, masks = folder / "images" / "validation", folder / "annotations" / "validation"
    here = _of_folders(split, part, folder, images, masks, (".jpg", ".png"), ADE_SOURCE)
    return FolderReader(here, split.legal_ids, ADE_RULE, subset=subset, year=year)


def open_ade_full(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """ADE20K's 847 classes: 0..846, 65535 unlabelled."""
    folder = found(
        split.name, "ADE20K (full)", below(roots, ADE_FULL), "annotations_detectron2/validation", ADE_FULL_SOURCE
    )
    images, masks = folder / "images_detectron2" / "validation", folder / "annotations_detectron2" / "validation"
    here = _of_folders(split, part, folder, images, masks, (".jpg", ".tif"), ADE_FULL_SOURCE)
    return FolderReader(here, split.legal_ids, ADE_FULL_RULE, subset=subset, year=year)


def open_context_full(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """PASCAL-Context's 459 classes: 0..458, 65535 unlabelled; the images of PASCAL-Context's list."""
    where = Path("annotations_detectron2", "pc459_val")
    folder = found(split.name, "PASCAL-Context (459)", below(roots, context.PLACES), str(where), CONTEXT_FULL_SOURCE)
    images, masks = folder / context.IMAGES, folder / where
    listed = read_ids(folder / context.LISTS / "val.txt")
    here = _of_folders(split, part, folder, images, masks, (".jpg", ".tif"), CONTEXT_FULL_SOURCE, listed=listed)
    return FolderReader(here, split.legal_ids, CONTEXT_FULL_RULE, subset=subset, year=year)


def open_cityscapes(split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
    """Cityscapes' 19 classes, of the train ids where those were made, else of the label ids that come with it."""
    folder = found(split.name, "Cityscapes", below(roots, CITYSCAPES), "gtFine/val", CITYSCAPES_SOURCE)
    images, masks = folder / "leftImg8bit" / "val", folder / "gtFine" / "val"
    made = bool(_by_city(masks, TRAIN_IDS))
    endings = ("_leftImg8bit.png", TRAIN_IDS if made else LABEL_IDS)
    here = _of_folders(split, part, folder, images, masks, endings, CITYSCAPES_SOURCE, look=_by_city)
    if made:
        return FolderReader(here, split.legal_ids, CITYSCAPES_RULE, subset=subset, year=year)
    return MappedReader(here, split, _of_label_ids(split), CITYSCAPES_RULE, subset=subset, year=year)


def _of_label_ids(split: Split) -> dict[int, int]:
    """Label id to train id: of what is none of the classes, the ignored one."""
    ids, ignored = read_facts(FACTS)["cityscapes_label_ids"], split.ignore_id
    assert ignored is not None, "Cityscapes has pixels that count nowhere"
    classes = {ids[name]: id_ for name, id_ in zip(split.classes, split.ids, strict=True)}
    return {label: classes.get(label, ignored) for label in (*range(34), 255)}


def _of_folders(
    split: Split,
    part: str,
    root: Path,
    images: Path,
    masks: Path,
    endings: tuple[str, str],
    source: str,
    *,
    listed: tuple[str, ...] | None = None,
    look: Callable[[Path, str], Mapping[str, Path]] = files,
) -> Part:
    """A part with one folder of photos and one of masks.

    endings: of a photo's and of a mask's name, after the id. listed: None for everything that is there. look: what
    finds the files of a folder by id.
    """
    if part != "val":
        raise DataError(f"{split.name} has no part {part!r}; it has: val")
    photo, mask = endings
    photos, truths = look(images, photo), look(masks, mask)
    count = read_facts(FACTS)["images"][split.dataset]
    there = tuple(sorted(photos.keys() | truths.keys())) if listed is None else listed
    if len(there) > count or len(set(there)) != len(there):
        raise DataError(
            f"{split.name}: {len(there)} images under {root}, expected {count}, each once; is it another "
            "edition, or are there files of other parts?"
        )
    return Part(
        name=f"{split.name} {part}",
        listed=there,
        count=count,
        images=photos,
        masks=truths,
        where=lambda id_: (images / f"{id_}{photo}", masks / f"{id_}{mask}"),
        root=root,
        source=source,
    )


def _by_city(folder: Path, ending: str) -> Mapping[str, Path]:
    """Files of all cities by `<city>/<name>`."""
    cities = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {f"{city.name}/{id_}": path for city in cities for id_, path in files(city, ending).items()}

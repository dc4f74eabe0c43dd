"""SegmentationClassAug made of the official VOC masks and SBD's `.mat` files, as it always was made.

Ids that VOC annotated keep the official mask, void border included; the others get SBD's, which has none. Hariharan et
al., "Semantic contours from inverse detectors", ICCV 2011.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data import voc
from benchmarks.data.folders import below, first_with
from benchmarks.data.listing import files
from benchmarks.data.mask_file import read_mask
from benchmarks.data.reader import Watch
from splits.errors import DataError, UserError

PLACES: Final = ("benchmark_RELEASE/dataset", "SBD", "sbd", "SBD/dataset", ".")  # below a data root
MASKS: Final = "cls"
SOURCE: Final = (
    "benchmark.tgz from http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/, unpacked "
    "as benchmark_RELEASE"
)
CLASSES: Final = frozenset(range(21))


def find(roots: Sequence[Path]) -> Path | None:
    """The first folder of SBD (one that holds `cls`) below the roots, or None."""
    return first_with(below(roots, PLACES), MASKS)


def read_sbd(path: Path) -> NDArray[np.uint8]:
    """`(H, W)` uint8 ids 0..20 of one `cls/*.mat`. Raises DataError where it is missing, broken or something else."""
    from scipy.io import loadmat

    try:
        mask: Any = loadmat(io.BytesIO(path.read_bytes()))["GTcls"]["Segmentation"][0, 0]
    except FileNotFoundError:
        raise DataError(f"mask {path} is missing") from None
    except Exception as error:  # scipy raises whatever the bytes lead it to
        reason = " ".join(str(error).split())
        raise DataError(f"mask {path} cannot be read ({reason}); the file is broken: copy it again") from None
    if mask.ndim != 2 or not set(np.unique(mask).tolist()) <= CLASSES:
        raise DataError(f"mask {path} holds no class ids 0..20; expected a file of SBD's folder {MASKS}")
    return mask.astype(np.uint8)


def build(
    folder: Path,
    sbd: Path | None,
    ids: Sequence[str],
    legal: frozenset[int],
    watch: Watch = lambda done, total: None,
) -> list[str]:
    """Write the masks of `SegmentationClassAug` that a `VOC2012` folder lacks of `ids`, there or in the cache.

    Returns the ids for which neither source has a mask. Each file appears whole or not at all, so that this can be
    interrupted and called again. Raises DataError for a broken source, UserError where nothing can be written.
    """
    target = voc.aug_to_write(folder)
    official, drawn = files(folder / voc.OFFICIAL, ".png"), files(sbd / MASKS, ".mat") if sbd else {}
    there, lacking = files(target, ".png") | files(folder / voc.AUG, ".png"), []
    for done, id_ in enumerate(ids, 1):
        if id_ not in there:
            if id_ in official:
                _write(target / f"{id_}.png", cast(NDArray[np.uint8], read_mask(official[id_], legal)))
            elif id_ in drawn:
                _write(target / f"{id_}.png", read_sbd(drawn[id_]))
            else:
                lacking.append(id_)
        watch(done, len(ids))
    return lacking


def _write(path: Path, mask: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(mask)
    picture.putpalette(voc.palette())
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(temporary, format="PNG")
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make the folder writable") from None

"""What was counted of a run, as it lies beside its record: `confusion.npz`.

shifts      (S,) float64      what was taken off the seen scores, sorted; -inf and inf at its ends: all pixels seen,
                              all unseen (missing in files from before they were counted, and where they are unknown)
own_index   ()                where the method's own shift stands among them
matrices    (S, C, C) int64   [shift, truth, prediction]
per_image   (n, 4) int64      image, truth, prediction, pixels at the own shift; what is 0 is left out
boundary    (C, C) int64      as matrices[own_index], near boundaries of the truth alone (`scoring.boundary`);
                              missing where it was not measured: episodic items, and files from before it was
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.npz import refuse_bomb
from results.store.record import RunRecord

Locate = Callable[[RunRecord], Path]  # a record -> its file
ARRAYS = ("shifts", "own_index", "matrices", "per_image", "boundary")  # in the order in which they lie there


def packed(arrays: Mapping[str, Any]) -> bytes:
    """The file's bytes: the same for the same arrays. What is None is left out."""
    buffer = io.BytesIO()
    known: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(buffer, **known)
    return buffer.getvalue()


def counted(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that the file holds.

    One read for each: numpy's own reader goes through an archive in small pieces, and a report opens thousands.
    """
    with zipfile.ZipFile(path) as packed:
        members = {f"{name}.npy": name for name in names}
        there = [member for member in packed.namelist() if member in members]
        refuse_bomb(packed, there)
        return {members[member]: _array(packed.read(member)) for member in there}


def is_swept(shifts: NDArray[np.float64]) -> bool:
    """Are there other shifts `(S,)` than one, both infinite ends among them? Without ends, some of it is not known."""
    return bool(len(shifts) > 1 and np.isinf(shifts[[0, -1]]).all())


_FIRST = b"\x93NUMPY\x01\x00"  # a file of version 1.0, as all but the strangest are


def _array(data: bytes) -> NDArray[Any]:
    """As numpy's own reader. That one parses each header as Python; thousands of files have few different ones."""
    end = 10 + int.from_bytes(data[8:10], "little")
    if data.startswith(_FIRST) and len(data) > end:
        shape, fortran, dtype = _header(data[:end])
        count = math.prod(shape)
        if count > 0 and not fortran and not dtype.hasobject:
            return np.frombuffer(data, dtype, count, end).reshape(shape).copy()
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


@lru_cache(maxsize=256)
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_1_0(io.BytesIO(data[8:]))

"""What lies beside a record is read as numpy reads it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.npz import SPOILT
from results.store.confusion import counted

ARRAYS = {
    "shifts": np.array([-np.inf, 0.0, np.inf]),
    "own_index": np.array(1),
    "matrices": np.arange(24, dtype=np.int64).reshape(2, 3, 4),
    "per_image": np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
    "boundary": np.zeros((0, 4), dtype=">i8"),
}


def written(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return path


def npy(array: np.ndarray, **how: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays_are_those_that_numpy_reads(version: tuple[int, int], tmp_path: Path) -> None:
    """Fails when a shape, an order in memory or a kind of number comes back otherwise, or read-only."""
    path = written(tmp_path / "a.npz", **{name: npy(array, version=version) for name, array in ARRAYS.items()})
    for found in (counted(path, ARRAYS), counted(path, ARRAYS)):  # headers are known at the second time
        with np.load(path) as packed:
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(found[name], packed[name])
                assert (
                    (found[name].dtype, found[name].shape)
                    == (packed[name].dtype, packed[name].shape)
                    == (
                        array.dtype,
                        array.shape,
                    )
                )
        found["matrices"][0] = 9


@pytest.mark.parametrize(
    "data",
    [
        npy(ARRAYS["matrices"])[:-8],
        npy(ARRAYS["matrices"])[:40],
        b"",
        b"\x93NUMPY\x01\x00\xff\xffno header",
        npy(ARRAYS["matrices"]).replace(b"(2, 3, 4)", b"(-2, 3,4)"),
        npy(ARRAYS["matrices"]).replace(b"(2, 3, 4)", b"(9, 9, 9)"),
        npy(np.array([{}]), allow_pickle=True),
    ],
    ids=["a row short", "in the header", "empty", "no header", "negative", "too large", "pickled"],
)
def test_what_is_no_array_is_refused(data: bytes, tmp_path: Path) -> None:
    """Fails when a cut or forged array ends in a stack trace, is filled up, or runs code."""
    path = written(tmp_path / "a.npz", matrices=data)
    for _ in range(2):
        with pytest.raises(SPOILT):
            counted(path, ("matrices",))

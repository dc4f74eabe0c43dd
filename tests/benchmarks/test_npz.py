"""Arrays in archives: nobody's memory is filled by a file of a kilobyte."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import npz
from results.store.confusion import counted


def bomb(path: Path, name: str) -> Path:
    """200 MB of zeros in a file of 200 kB."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros(200_000_000, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{name}.npy", buffer.getvalue())
    assert path.stat().st_size < 250_000
    return path


def test_arrays_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a stored matrix or a prediction is unpacked although it cannot fit, or one that fits is refused."""
    path = bomb(tmp_path / "confusion.npz", "matrices")
    monkeypatch.setattr(npz, "memory_left", lambda: 199_000_000)
    with pytest.raises(npz.SPOILT, match=r"of 0\.2 that are left"):
        counted(path, ("matrices",))
    assert counted(path, ("shifts",)) == {}  # what is not asked for is not unpacked
    monkeypatch.setattr(npz, "memory_left", lambda: 300_000_000)
    assert counted(path, ("matrices",))["matrices"].shape == (200_000_000,)


def test_a_prediction_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when an imported prediction ends the process for want of memory instead of in one line."""
    pytest.importorskip("torch")
    from benchmarks.scoring.external import _top
    from splits.errors import DataError

    monkeypatch.setattr(npz, "memory_left", lambda: 199_000_000)
    with pytest.raises(DataError, match=r"cannot be read: its arrays take 0\.2 GiB"):
        _top(bomb(tmp_path / "a.npz", "classes"))
    np.save(tmp_path / "b.npy", np.zeros(3))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(DataError, match="cannot be read"):
        _top(tmp_path / "b.npz")


def test_a_header_that_is_cut(tmp_path: Path) -> None:
    """Fails when NumPy's reading of a spoilt header ends a command in a stack trace."""
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3,"
    with zipfile.ZipFile(tmp_path / "confusion.npz", "w") as packed:
        packed.writestr("shifts.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(npz.SPOILT):
        counted(tmp_path / "confusion.npz", ("shifts",))

"""What a process may still take, and pictures that are refused before they are decoded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.data import memory, picture_file
from benchmarks.data.mask_file import read_raw
from benchmarks.data.photo_file import read_image
from splits.errors import DataError

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("version", [0, 1])
def test_the_least_of_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """Fails when a machine's memory, or the limit of a job's group on it, is not looked at."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    assert memory.memory_left() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:   4000 kB\n")
    assert memory.memory_left() == 4000 * 1024
    limit, used = (tmp_path / name for name in memory.CGROUP[version])
    limit.parent.mkdir(exist_ok=True)
    used.write_text("1000000")
    for text, left in (("3000000", 2_000_000), ("500000", 0), ("max", 4000 * 1024)):
        limit.write_text(text)
        assert memory.memory_left() == left


@pytest.mark.parametrize(("version", "own"), [(0, "0::/job/step\n"), (1, "4:memory,hugetlb:/job/step\n0::/\n")])
def test_the_group_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, own: str) -> None:
    """Fails when the limit of a job is not looked at below the groups' root, or files that are only kept in memory,
    which a long training fills its whole limit with, leave no room for a picture.
    """
    for name in ("CGROUPS", "MEMINFO", "OWN_GROUPS"):
        monkeypatch.setattr(memory, name, tmp_path / name)
    (tmp_path / "OWN_GROUPS").write_text(own)
    limit, used = (tmp_path / "CGROUPS" / name for name in memory.CGROUP[version])
    job = limit.parent / "job"
    (job / "step").mkdir(parents=True)
    (job / limit.name).write_text("3000000")
    (job / used.name).write_text("2900000")
    assert memory.memory_left() == 100_000
    old = "inactive_file 7\ntotal_" if version else ""
    (job / "memory.stat").write_text(f"anon 2000000\n{old}inactive_file 500000\n{old and 'total_'}active_file 300000\n")
    assert memory.memory_left() == 900_000
    (job / "step" / limit.name).write_text("600000")
    (job / "step" / used.name).write_text("400000")
    assert memory.memory_left() == 200_000


def test_a_large_picture_is_weighed_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a picture that cannot fit is begun, or one that fits is refused; 30 MB, 110 MB and 30 million pixels'
    worth of header only: the file has no pixels to decode.
    """
    for mode, read, need in (("L", read_raw, 30e6 * 3), ("RGB", read_image, 30e6 * 11)):
        path = tmp_path / f"{mode}.png"
        Image.new(mode, (6000, 5000)).save(path)
        path.write_bytes(path.read_bytes()[:200])
        monkeypatch.setattr(picture_file, "memory_left", lambda need=need: int(need) - 1)
        with pytest.raises(DataError, match=r"6000x5000 pixels, which take 0\.\d GiB to read") as error:
            read(path)
        assert "\n" not in str(error.value)
        monkeypatch.setattr(picture_file, "memory_left", lambda need=need: int(need))
        with pytest.raises(DataError, match="cannot be decoded"):
            read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are Linux's")
def test_13000_by_13000_under_a_limit(tmp_path: Path) -> None:
    """Fails when a real process with a real limit ends in a trace, or takes the file for a broken one."""
    Image.new("P", (13_000, 13_000)).save(tmp_path / "big.png")
    code = (
        "import resource, sys; from pathlib import Path; from benchmarks.data.mask_file import read_raw\n"
        "resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))\n"
        "from splits.errors import DataError\n"
        "try: read_raw(Path(sys.argv[1]))\n"
        "except DataError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "big.png")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "13000x13000 pixels" in done.stdout
    assert "more memory" in done.stdout

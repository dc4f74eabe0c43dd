"""Archives of data: nothing in one is written anywhere but below the folder it is unpacked to."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.data import archives
from benchmarks.data.archives import unpack, unpacked_size
from splits.errors import UserError


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def archive_of(path: Path, names: list[str], content: bytes) -> Path:
    """A tar or a zip, by its name, of files of one content."""
    if path.suffix == ".tar":
        return tar(path, *((member(name), content) for name in names))
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def chain() -> list[tuple[tarfile.TarInfo, bytes]]:
    """A long chain of links, then a hard link over it: what filters of tarfile once let through (CVE-2025-4517)."""
    deep = "d" * 240
    steps, path = [], ""
    for letter in "abcdefghijklmnop":
        steps += [(member(os.path.join(path, deep), tarfile.DIRTYPE), b"")]
        steps += [(member(os.path.join(path, letter), tarfile.SYMTYPE, deep), b"")]
        path = os.path.join(path, letter)
    return [*steps, (member("escape", tarfile.SYMTYPE, f"{path}/../../outside"), b""), (member("escape/x"), b"bad")]


HOSTILE: dict[str, Callable[[], list[tuple[tarfile.TarInfo, bytes]]]] = {
    "absolute": lambda: [(member("/tmp/zss-evil"), b"x")],
    "dotdot": lambda: [(member("a/../../evil"), b"x")],
    "symlink": lambda: [(member("l", tarfile.SYMTYPE, "/etc"), b""), (member("l/evil"), b"x")],
    "link inside": lambda: [(member("a"), b"x"), (member("l", tarfile.SYMTYPE, "a"), b"")],
    "hard link": lambda: [(member("l", tarfile.LNKTYPE, "../secret"), b"")],
    "chain": chain,
    "device": lambda: [(member("dev", tarfile.CHRTYPE), b"")],
    "fifo": lambda: [(member("pipe", tarfile.FIFOTYPE), b"")],
}


def hostile(path: Path, kind: str) -> Path:
    """An archive of that kind, for every reader of archives."""
    return tar(path, *HOSTILE[kind]())


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_tar_writes_nothing(tmp_path: Path, kind: str) -> None:
    """Fails when anything of an archive with links, devices or ways out is written, inside or outside."""
    archive, target = hostile(tmp_path / "evil.tar", kind), tmp_path / "in" / "here"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="not unpacked") as error:
        unpack(archive, target)
    assert "\n" not in str(error.value)
    assert sorted(p for p in tmp_path.rglob("*") if p not in (target, target.parent)) == before


@pytest.mark.parametrize("name", ["/abs", "../up", "a/../../up", "C:evil", "a\\..\\..\\up"])
def test_a_hostile_zip_writes_nothing(tmp_path: Path, name: str) -> None:
    """Fails when a name in a zip leads out."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("first", b"x")
        packed.writestr(name, b"x")
    with pytest.raises(UserError, match="not unpacked"):
        unpack(tmp_path / "evil.zip", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_link_or_device_in_a_zip(tmp_path: Path, kind: int) -> None:
    """Fails when a zip's symbolic link or device is made, or its target written as a file, instead of refused."""
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("first", b"x")
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="link or a device"):
        unpack(tmp_path / "evil.zip", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


def test_permissions_are_this_processs(tmp_path: Path) -> None:
    """Fails when an archive decides who may run a file, or as whom."""
    unpack(tar(tmp_path / "a.tar", (member("tar", mode=0o6777), b"x")), tmp_path / "in")
    info = zipfile.ZipInfo("zip")
    info.external_attr = (stat.S_IFREG | 0o6777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "x")
    unpack(tmp_path / "a.zip", tmp_path / "in")
    for name in ("tar", "zip"):
        assert not (tmp_path / "in" / name).stat().st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111), name


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_many_files_and_their_size(tmp_path: Path, suffix: str) -> None:
    """Fails when ten thousand files are too many, or the room that they need is not known beforehand."""
    archive = archive_of(tmp_path / f"many.{suffix}", [f"d{i % 7}/{i}" for i in range(10_000)], b"ab")
    assert unpacked_size(archive) == 20_000
    unpack(archive, tmp_path / "in")
    assert sum(1 for path in (tmp_path / "in").rglob("*") if path.is_file()) == 10_000


@pytest.mark.parametrize("suffix", ["tgz", "zip"])
def test_a_bomb_is_weighed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Fails when a small archive of a large file is taken for a small one, or fills the disk."""
    bomb = tmp_path / f"bomb.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("zeros", bytes(50_000_000))
    else:
        with tarfile.open(bomb, "w:gz") as packed_tar:
            info = member("zeros")
            info.size = 50_000_000
            packed_tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert bomb.stat().st_size < 100_000
    assert unpacked_size(bomb) == 50_000_000
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 49_999_999}))
    with pytest.raises(UserError, match="has room for"):
        unpack(bomb, tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


def test_an_encrypted_zip(tmp_path: Path) -> None:
    """Fails when a password is asked for in a trace."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("f", b"x")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[6] |= 1  # the flag of the local header, and of the directory's entry
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="encrypted"):
        unpack(tmp_path / "a.zip", tmp_path / "in")


def test_an_unknown_compression(tmp_path: Path) -> None:
    """Fails when a compression that Python lacks ends in a trace."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("f", b"x")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[8:10] = b"\x63\x00"
    at = content.index(b"PK\x01\x02") + 10
    content[at : at + 2] = b"\x63\x00"
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="compression"):
        unpack(tmp_path / "a.zip", tmp_path / "in")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")])
@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_a_file_used_as_a_folder(tmp_path: Path, suffix: str, names: tuple[str, str]) -> None:
    """Fails when a name that is both ends in a trace."""
    archive = archive_of(tmp_path / f"a.{suffix}", [*names], b"x")
    with pytest.raises(UserError, match="file and a folder"):
        unpack(archive, tmp_path / "in")


def test_a_name_that_the_disk_refuses(tmp_path: Path) -> None:
    """Fails when a name too long for any file ends in a trace."""
    archive = tar(tmp_path / "a.tar", (member("n" * 300), b"x"))
    with pytest.raises(UserError, match=r"can be called 'nnn.*too long"):
        unpack(archive, tmp_path / "in")


@pytest.mark.parametrize("read", [unpacked_size, lambda archive: unpack(archive, archive.parent / "in")])
@pytest.mark.parametrize("name", [b"\xff\xfe", b"\0\0"], ids=["no UTF-8", "empty"])
def test_a_name_that_is_none(tmp_path: Path, read: Callable[[Path], object], name: bytes) -> None:
    """Fails when a zip's name that is said to be UTF-8 and is not, or is nothing, ends in a trace."""
    archive = archive_of(tmp_path / "a.zip", ["é"], b"x")
    archive.write_bytes(archive.read_bytes().replace("é".encode(), name))
    if read is unpacked_size and name == b"\0\0":
        assert unpacked_size(archive) == 1
        return
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(archive)


@pytest.mark.parametrize("read", [unpacked_size, lambda archive: unpack(archive, archive.parent / "in")])
def test_a_negative_size(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """Fails when a size below nothing makes an archive look small, or is read again and again (CVE-2025-8194)."""
    info, archive = member("a"), tmp_path / "a.tar"
    info.size = -512  # the next header would be this one
    archive.write_bytes(member("first").tobuf() + info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(archive)

"""What is installed: the locks are of today's pyproject.toml, every package has hashes, and nobody's index is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("packaging.requirements")
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[1]
LOCKS = {"build": (), "train": ("train",), "dev": ("train", "dev")}  # file to extras


def pinned(path: Path) -> dict[str, list[Requirement]]:
    """The requirements of a lock by name; one name may have several, for different machines."""
    found: dict[str, list[Requirement]] = {}
    text = re.sub(r" \\\n\s+", " ", path.read_text(encoding="utf-8"))
    for line in text.splitlines():
        requirement = Requirement(line.partition(" --hash")[0])
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def asked(name: str) -> list[Requirement]:
    """What pyproject.toml asks for."""
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    if name == "build":
        return [Requirement(text) for text in content["build-system"]["requires"]]
    extras = content["project"]["optional-dependencies"]
    return [Requirement(t) for t in (*content["project"]["dependencies"], *(t for e in LOCKS[name] for t in extras[e]))]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_of_what_the_project_asks_for(name: str) -> None:
    """Fails when pyproject.toml has changed and nobody called `make lock`."""
    found = pinned(PROJECT / "locks" / f"{name}.txt")
    for requirement in asked(name):
        versions = [next(iter(one.specifier)).version for one in found.get(canonicalize_name(requirement.name), [])]
        assert versions, f"{requirement} is not locked; call `make lock`"
        assert all(v in requirement.specifier for v in versions), f"{requirement}: {versions}; call `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes(name: str) -> None:
    """Fails when a package can be installed unseen, in another version, from an address, or as a pre-release."""
    text = re.sub(r" \\\n\s+", " ", (PROJECT / "locks" / f"{name}.txt").read_text(encoding="utf-8"))
    for line in text.splitlines():
        assert re.fullmatch(r"[a-z0-9.-]+==[^ ]+( ; [^#]*?)?( --hash=sha256:[0-9a-f]{64})+", line), line
        assert "://" not in line
        assert not Version(re.split("[ =;]+", line)[1]).is_prerelease, line


def test_locks_agree_with_one_another() -> None:
    """Fails when tests run on other versions than users get, or `constraints.txt` on others than both."""
    constraints = pinned(PROJECT / "constraints.txt")
    for name in LOCKS:
        for package, requirements in pinned(PROJECT / "locks" / f"{name}.txt").items():
            versions = {str(one.specifier) for one in requirements}
            assert versions <= {str(one.specifier) for one in constraints[package]}, package
    assert set(pinned(PROJECT / "locks" / "train.txt")) <= set(pinned(PROJECT / "locks" / "dev.txt"))

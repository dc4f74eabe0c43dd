"""Two people and one folder of runs: what one submits, the other sees, does not submit again and cannot cancel."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.calls import PROJECT, SLURM, Harness

# jobs get the groups that the system's files say, so the folder's group is that of who makes the runs
MAKER, OTHER = "games", "daemon"
# the system's, where it is of the same version: this one may lie in root's own folder
_SYSTEM = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
PYTHON = str(_SYSTEM) if _SYSTEM.exists() else sys.executable
GRID = ("--methods", "random", "constant", "--folds", "0", "--limit", "6")


class Person:
    """A user who is not root, in the group of the shared folder."""

    def __init__(self, harness: Harness, name: str, home: Path):
        self.name, self.home = name, home
        entry = pwd.getpwnam(name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self._harness = harness
        home.mkdir()
        os.chown(home, self.uid, self.gid)

    def __call__(self, *words: str | Path, umask: int = 0o002) -> subprocess.CompletedProcess[str]:
        """Call the harness as this person."""
        return self.run(PYTHON, str(PROJECT / "harness.py"), *map(str, words), umask=umask)

    def run(self, *command: str, umask: int = 0o002) -> subprocess.CompletedProcess[str]:
        """Run a command as this person."""
        packages = [place for place in sys.path if place.endswith("site-packages")]
        own = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "PYTHONPATH": os.pathsep.join(packages)}
        return subprocess.run(
            command,
            env=self._harness.environment | own,
            cwd=self.home,
            user=self.uid,
            group=self.gid,
            extra_groups=[pwd.getpwnam(MAKER).pw_gid],
            umask=umask,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter (pytest's own is root's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="zss-people-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def people(harness: Harness, place: Path) -> tuple[Person, Person]:
    """Two of the users that every Debian has."""
    try:
        found = Person(harness, MAKER, place / "one"), Person(harness, OTHER, place / "two")
    except KeyError as error:
        pytest.skip(f"this machine lacks a user: {error}")
    try:
        tried = found[0].run(PYTHON, "-c", f"import torch; open({str(PROJECT / 'harness.py')!r})")
        problem = tried.stderr.strip()[-200:] if tried.returncode else ""
    except PermissionError as error:
        problem = str(error)
    if problem:
        pytest.skip(f"other users cannot run {PYTHON} on this project: {problem}")
    return found


@pytest.fixture
def shared(place: Path, people: tuple[Person, Person]) -> Path:
    """A folder of the group, whose files are the group's (setgid)."""
    root = place / "runs"
    root.mkdir()
    os.chown(root, 0, people[0].gid)
    root.chmod(0o2775)
    return root


def test_a_colleagues_jobs(harness: Harness, people: tuple[Person, Person], shared: Path) -> None:
    """Fails when a colleague's waiting jobs look failed or his running ones interrupted, when they are submitted a
    second time, when `cancel` is silent about them, or when what they made cannot be read.
    """
    one, two = people
    done = one("run", *GRID, *SLURM, "--slurm", "begin=now+3600", "--runs", shared)
    assert done.returncode == 0, done.stderr
    for person in people:
        assert "2 runs: 2 queued" in person("status", *GRID, "--runs", shared).stdout
    again = two("run", *GRID, *SLURM, "--runs", shared)
    assert (again.returncode, "nothing to submit" in again.stdout) == (0, True), again
    refused = two("cancel", *GRID, "--runs", shared)
    assert (refused.returncode, "2 jobs are another user's" in refused.stderr) == (1, True), refused
    assert "2 runs: 2 queued" in one("status", *GRID, "--runs", shared).stdout
    for job in harness.cluster.ask("squeue", "--noheader", "--array", "--states=pending", "--format=%i").split():
        assert harness.cluster.succeeds("scontrol", "update", f"JobId={job}", "StartTime=now")
    collected = two("collect", *GRID, "--runs", shared, "--interval", "1")
    assert (collected.returncode, "2 runs: 2 done" in collected.stdout) == (0, True), collected
    assert {path.stat().st_uid for path in shared.glob("*/*/*/evals/*/record.json")} == {one.uid}
    assert "2 records, 0 problems" in two("results", "verify", "--from", shared).stdout
    more = two("run", *GRID, "--seeds", "1", *SLURM, "--slurm", "begin=now+3600", "--runs", shared)
    assert (more.returncode, "2 runs submitted" in more.stdout) == (0, True), more
    assert "2 jobs cancelled" in two("cancel", *GRID, "--seeds", "1", "--runs", shared).stdout


def test_a_site_that_hides_jobs(harness: Harness, people: tuple[Person, Person], shared: Path) -> None:
    """Fails when a job that the site does not show counts as ended, and its run is submitted again."""
    one, two = people
    assert one("run", *GRID, *SLURM, "--slurm", "begin=now+3600", "--runs", shared).returncode == 0
    conf = harness.cluster.conf
    text = conf.read_text()
    conf.write_text(text + "PrivateData=jobs\n")
    try:
        assert harness.cluster.succeeds("scontrol", "reconfigure")
        seen = two("status", *GRID, "--runs", shared).stdout
        assert "2 runs: 2 queued" in seen
        assert "another user's job" in seen
        assert "nothing to submit" in two("run", *GRID, *SLURM, "--runs", shared).stdout
        assert "2 jobs are another user's" in two("cancel", *GRID, "--runs", shared).stderr
    finally:
        conf.write_text(text)
        harness.cluster.succeeds("scontrol", "reconfigure")
    assert "2 jobs cancelled" in one("cancel", *GRID, "--runs", shared).stdout


def test_a_hidden_partition(people: tuple[Person, Person], shared: Path) -> None:
    """Fails when a partition that a site hides is called unknown, or its jobs are lost once they are submitted."""
    one = people[0]
    hidden = ("--partition", "hidden", "--slurm", "begin=now+3600")
    done = one("run", *GRID, *SLURM, *hidden, "--runs", shared)
    assert done.returncode == 0, done.stderr
    for person in people:
        assert "2 runs: 2 queued" in person("status", *GRID, "--runs", shared).stdout
    assert "2 jobs cancelled" in one("cancel", *GRID, "--runs", shared).stdout


def test_umask_077(harness: Harness, people: tuple[Person, Person], shared: Path) -> None:
    """Fails when what a colleague may not read is passed over, as if it were not there."""
    one, two = people
    made = one("run", *GRID, "--cluster", "debug", "--runs", shared, umask=0o077)
    assert made.returncode == 0, made.stderr
    for command in (
        ("results", "verify", "--from", shared),
        ("tables", "--from", shared),
        ("status", *GRID, "--runs", shared),
    ):
        done = two(*command)
        told = done.stdout + done.stderr
        assert done.returncode != 0, (command, told)
        assert str(shared / "shapes-5i") in told, command
        assert "Traceback" not in told
    later = ("--seeds", "1", *SLURM, "--slurm", "begin=now+3600")
    submitted = one("run", *GRID, *later, "--runs", shared, umask=0o077)
    assert submitted.returncode == 0, submitted.stderr
    blind = two("status", *GRID, "--seeds", "1", "--runs", shared)
    assert blind.returncode != 0
    assert "Traceback" not in blind.stderr
    assert ".jobs" in blind.stderr or "shapes-5i" in blind.stderr
    assert "2 jobs cancelled" in one("cancel", *GRID, "--seeds", "1", "--runs", shared).stdout


def test_a_submission_under_umask_077(people: tuple[Person, Person], shared: Path) -> None:
    """Fails when a colleague's closed submission in an open folder is passed over, and its runs are submitted again."""
    one, two = people
    later = (*SLURM, "--slurm", "begin=now+3600", "--runs", shared)
    assert two("run", *GRID, *later).returncode == 0
    assert one("run", *GRID, "--seeds", "1", *later, umask=0o077).returncode == 0
    for command in (("status", *GRID, "--seeds", "1", "--runs", shared), ("run", *GRID, "--seeds", "1", *later)):
        done = two(*command)
        assert (done.returncode, "you may not read it" in done.stderr) == (2, True), done
        assert ".jobs" in done.stderr
    for person in people:
        person.run("scancel", "--user", person.name)
    one("cancel", *GRID, "--seeds", "1", "--runs", shared)

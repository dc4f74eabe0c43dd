"""The copy of the code that cluster jobs run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from results.launch.execute.frozen_code import freeze
from results.store.provenance import git_state, sources_sha256

ASK = """
import json
from results.store import provenance
from results.launch.execute import cluster_job, frozen_code
from methods.registry import METHODS
found = [provenance.git_state(), provenance.code_sha256(), provenance.sources_sha256("zegclip"), frozen_code.__file__]
print(json.dumps(found))
"""


def test_a_copy_is_the_code_and_says_what_of(tmp_path: Path) -> None:
    """Fails when a copy is of other code, does not stand alone, or takes the state of a checkout around it."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit, digest = freeze(tmp_path / "code")
    command = [sys.executable, "-P", "-c", ASK]
    environment = {"PYTHONPATH": str(tmp_path / "code"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    state, code, sources, file = json.loads(done.stdout)
    assert (tuple(state), commit) == (git_state(), git_state()[0])
    assert (code, sources) == (digest, sources_sha256("zegclip"))
    assert Path(file).is_relative_to(tmp_path)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """Fails when the same code has two digests, or stored results are copied with it."""
    assert freeze(tmp_path / "a") == freeze(tmp_path / "b")
    assert not (tmp_path / "a" / "results" / "reference").exists()
    assert not list((tmp_path / "a").rglob("__pycache__"))

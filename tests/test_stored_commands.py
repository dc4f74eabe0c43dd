"""The commands that only look at stored records, as a person calls them, on the committed reference records."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from results.store.folders import find_stored

PROJECT = Path(__file__).resolve().parent.parent
REFERENCE = PROJECT / "results" / "reference"
PAIR = ("zegclip", "zegclip-baseline")


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = harness.main([str(a) for a in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """Fold 0 of two methods by the short recipe, as if copied from another machine."""
    for method in PAIR:
        for path in (REFERENCE / "shapes-5i" / method).glob("fold0-*/evals/*/record.json"):
            if json.loads(path.read_text())["result"]["train"]["recipe"]["name"] != "long":
                run = path.parents[2]
                shutil.copytree(run, tmp_path / "some" / "shapes-5i" / method / run.name)
    return tmp_path / "some"


def test_no_torch_is_loaded(some, tmp_path):
    """Fails if looking at records needs torch: it is to work on any laptop."""
    code = (
        "import sys; sys.modules['torch'] = None; import harness\n"  # an import of torch would raise
        f"assert harness.main(['tables', '--from', {str(some)!r}, '--show', 'all']) == 0\n"
        f"assert harness.main(['compare', *{PAIR!r}, '--from', {str(some)!r}]) == 0\n"
        f"assert harness.main(['report', '--from', {str(some)!r}, '--out', {str(tmp_path / 'r.html')!r}]) == 0\n"
        f"assert harness.main(['export', '--from', {str(some)!r}, '--out', {str(tmp_path / 'e.csv')!r}]) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_asking_again_for_what_is_done_loads_no_torch(some):
    """Fails if the tables of finished runs wait for torch, or for what submits jobs."""
    asked = ["--methods", *PAIR, "--benchmarks", "shapes-5i", "--folds", "0", "--runs", str(some)]
    code = (
        "import sys; sys.modules['torch'] = sys.modules['submitit'] = None; import harness\n"  # an import would raise
        f"assert harness.main(['status', *{asked!r}]) == 0\n"
        f"assert harness.main({asked!r}) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search("2 runs: 2 (done|stale)", done.stdout)  # stale where the methods have changed since
    assert "zegclip-baseline" in done.stdout


def test_the_reference_table_is_the_same_on_every_call(capsys):
    """Fails if the table of the committed records changes from call to call."""
    first, second = (call(capsys, "tables", "--from", REFERENCE) for _ in range(2))
    assert first == second
    # of each recipe the comparison and what was measured; ablations: one of the long one, three of the short
    assert first[1].count("**shapes-5i") == 8


@pytest.mark.parametrize(("form", "sign"), [("latex", r"\toprule"), ("csv", "hiou_best"), ("html", "<!doctype html>")])
def test_every_form(capsys, some, form, sign):
    """Fails if a form of the tables cannot be had from the command line."""
    code, out, _ = call(capsys, "tables", "--from", some, "--format", form, "--by", "fold", "--show", "main")
    assert code == 0
    assert sign in out


def test_filters(capsys, some):
    """Fails if a filter lets other runs through, or one that fits nothing prints an empty table."""
    _, out, _ = call(capsys, "tables", "--from", some, "--methods", "zegclip", "--by", "fold")
    assert "zegclip" in out
    assert "zegclip-baseline" not in out
    code, _, err = call(capsys, "tables", "--from", some, "--settings", "transductive")
    assert (code, "no record in" in err) == (2, True)
    code, _, err = call(capsys, "tables", "--from", some, "--show", "calibrated")
    assert (code, "there is no table of calibrated" in err) == (2, True)


def test_the_gate_is_an_exit_code(capsys, some):
    """Fails if a script cannot tell a passed gate from one that was not."""
    code, out, err = call(capsys, "compare", *PAIR, "--from", some, "--fail-under", "5")
    assert (code, err) == (0, "")
    assert "| higher " in out
    code, _, err = call(capsys, "compare", *reversed(PAIR), "--from", some, "--fail-under", "0")
    assert code == 1
    assert "under +0" in err


def test_folders_of_two_machines_merge(capsys, some, tmp_path):
    """Fails if a copy weighs double, or of two results of one run one is taken."""
    _, alone, _ = call(capsys, "tables", "--from", some, "--by", "fold")
    other = tmp_path / "other"
    shutil.copytree(some, other)
    _, twice, _ = call(capsys, "tables", "--from", some, other, "--by", "fold")
    rows = [line for line in alone.splitlines() if line.startswith("|")]
    assert rows == [line for line in twice.splitlines() if line.startswith("|")]
    assert "further copies" in twice
    path = next(found.path for found in find_stored(other) if not isinstance(found, Exception))
    data = json.loads(path.read_text())
    data["result"]["weights_sha256"] = "99" * 32  # another training; scores stay those of the matrices beside
    path.write_text(json.dumps(data))
    _, merged, _ = call(capsys, "tables", "--from", some, other, "--by", "fold")
    assert "2 records with different results, all left out" in merged


def test_a_half_finished_grid(capsys, some):
    """Fails if tables of a folder pass over runs that failed or are not finished."""
    folder = some / "shapes-5i" / "clip" / "fold0-seed0-00000000"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text("{}")
    (folder / "state.json").write_text('{"state": "failed", "reason": "no memory"}')
    _, out, _ = call(capsys, "tables", "--from", some)
    assert "Not there: clip fold 0 seed 0 (failed: no memory)" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "zegclip", "nobody"], "there is no run of 'nobody'"),
        (["compare", "zegclip"], "names one method"),
        (["export", "--out", "all.xlsx"], "ends in .csv or .parquet"),
        (["report", "--from", "nowhere"], "is no folder of runs"),
    ],
)
def test_slips_end_in_one_line(capsys, monkeypatch, some, tmp_path, arguments, said):
    """Fails if a slip ends in a stack trace or leaves a file behind."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    roots = [] if "--from" in arguments else ["--from", str(some)]
    code, _, err = call(capsys, *arguments, *roots)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before

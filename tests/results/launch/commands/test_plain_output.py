"""What commands print steers no terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from results.launch.commands.plain_output import PlainStream, plain_output
from tests.results import factory

PROJECT = Path(__file__).resolve().parents[4]
ESCAPE = "\x1b[2J\x1b]0;owned\x07"


def test_codes_are_spelled_out_and_streams_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if an escape code gets through, lines are lost, or the streams stay wrapped after an error."""
    before = sys.stdout, sys.stderr
    with contextlib.suppress(KeyError), plain_output():
        print(f"a{ESCAPE}\tb", flush=True)
        sys.stdout.writelines(["c\n", "\x9bd\n"])
        print(ESCAPE, file=sys.stderr)
        assert isinstance(sys.stdout, PlainStream)
        assert sys.stdout.bare is before[0]
        raise KeyError
    assert (sys.stdout, sys.stderr) == before
    captured = capsys.readouterr()
    assert captured.out == "a\\x1b[2J\\x1b]0;owned\\x07\tb\nc\n\\x9bd\n"
    assert "\x1b" not in captured.err


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if the name of a folder can forge lines or codes of an error."""
    folder = tmp_path / f"x\n{ESCAPE}\rrm"
    assert harness.main(["tables", "--from", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert not {"\x1b", "\r", "\x07"} & set(err)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("form", ["markdown", "csv", "latex", "html"])
def test_names_in_every_form_of_a_table(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a recipe's name reaches a file or the terminal as a code or a formula."""
    for fold in (0, 1):
        recipe = factory.SHAPES.model_copy(update={"name": f"=1{ESCAPE}"})
        factory.store(tmp_path / "runs", fold=fold, recipe=recipe)
    asked = ["tables", "--from", str(tmp_path / "runs"), "--show", "main", "--format", form]
    assert harness.main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert harness.main(asked) == 0
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()] + [capsys.readouterr().out]
    assert not any({"\x1b", "\x07"} & set(text) for text in texts)
    if form == "csv":
        assert not any(cell.startswith("=") for text in texts for line in text.splitlines() for cell in line.split(","))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_disk_that_takes_half_is_told(tmp_path: Path, unbuffered: str) -> None:
    """Fails when the end of a table is lost and the exit code says that all went well."""
    code = (
        "import resource, sys, harness\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"sys.exit(harness.main(['tables', '--from', {str(PROJECT / 'results/reference')!r}, '--format', 'html']))\n"
    )
    with open(tmp_path / "tables.html", "wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "File too large" in done.stderr

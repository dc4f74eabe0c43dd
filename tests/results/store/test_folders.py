"""Stored runs: what cannot be trusted is said in one clear line, and never counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from results.store.folders import SPEC, CorruptRecord, RunFolder, find_records, load_record
from results.store.record import RunRecord
from splits.errors import UserError
from tests.results import factory


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def test_a_record_comes_back_as_it_was(tmp_path):
    """Fails if reading changes a number, or the checks refuse a good record."""
    path, made = factory.store(tmp_path)
    assert load_record(path) == made
    assert RunFolder(tmp_path / made.result.train.folder).read_record(made.result.evaluation) == made
    assert list(find_records(tmp_path)) == [made]


def test_no_record_is_none(tmp_path):
    """Fails if a run that was not scored yet is an error."""
    train, evaluation = factory.specs()
    assert RunFolder(tmp_path / train.folder).read_record(evaluation) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"null", b"[1]", b'{"schema_version": 1}'])
def test_a_corrupt_record(tmp_path, damage):
    """Fails if a damaged record raises anything but a UserError of one line that names the file."""
    path, _ = factory.store(tmp_path)
    path.write_bytes(damage)
    with pytest.raises(UserError) as error:
        load_record(path)
    assert "record.json" in one_line(error)


def test_every_cut_of_a_record_is_refused(tmp_path):
    """Fails if a record of which only the beginning was written is taken for a whole one."""
    path, _ = factory.store(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptRecord):
            load_record(path)


def test_a_record_with_a_wrong_value(tmp_path):
    """Fails if the line does not say which field is wrong."""
    path, _ = factory.store(tmp_path)
    data = json.loads(path.read_text())
    data["result"]["images"] = "many"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError) as error:
        load_record(path)
    assert "result.images" in one_line(error)
    assert "'many'" in one_line(error)


def test_a_truncated_matrix(tmp_path):
    """Fails if a matrix that is not the one of the record goes unnoticed."""
    path, _ = factory.store(tmp_path)
    matrix = path.with_name("confusion.npz")
    matrix.write_bytes(matrix.read_bytes()[:-10])
    with pytest.raises(CorruptRecord) as error:
        load_record(path)
    assert "confusion.npz: its sha256 is not the one in the record" in one_line(error)


def test_a_missing_matrix(tmp_path):
    """Fails if a record without its matrix is trusted."""
    path, _ = factory.store(tmp_path)
    path.with_name("confusion.npz").unlink()
    with pytest.raises(CorruptRecord) as error:
        load_record(path)
    assert "missing" in one_line(error)


@pytest.mark.parametrize("version", [0, 3, 99, "1", None, True])
def test_another_schema(tmp_path, version):
    """Fails if a record of another schema is read as if it were ours, or the line does not name both."""
    path, _ = factory.store(tmp_path)
    data = json.loads(path.read_text())
    data["schema_version"] = version
    path.write_text(json.dumps(data))
    with pytest.raises(CorruptRecord) as error:
        load_record(path)
    assert f"has schema {version}, this harness reads schemas up to 2" in one_line(error)


def test_a_record_of_another_evaluation(tmp_path):
    """Fails if a record copied into another evaluation's folder is taken for that evaluation's."""
    path, made = factory.store(tmp_path)
    train, other = factory.specs(background="class")
    assert train == made.result.train
    target = tmp_path / train.folder / "evals" / other.key
    path.parent.rename(target)
    with pytest.raises(CorruptRecord) as error:
        RunFolder(tmp_path / train.folder).read_record(other)
    assert "another evaluation" in one_line(error)


def test_one_bad_record_does_not_hide_the_others(tmp_path):
    """Fails if the walk stops at the first record that cannot be trusted, or drops it silently."""
    bad, _ = factory.store(tmp_path, fold=0)
    _, good = factory.store(tmp_path, fold=1)
    bad.write_text("{")
    found = list(find_records(tmp_path))
    assert [f for f in found if isinstance(f, RunRecord)] == [good]
    assert [type(f) for f in found if not isinstance(f, RunRecord)] == [CorruptRecord]


class TestSpec:
    """The spec in a run's folder."""

    def test_written_once_and_accepted_again(self, tmp_path):
        """Fails if going on with a run refuses or rewrites its own spec."""
        train, _ = factory.specs()
        folder = RunFolder(tmp_path / train.folder)
        with folder.claims.claim() as claim:
            folder.write_spec(train, claim)
            before = (folder.path / SPEC).stat().st_mtime_ns
            folder.write_spec(train, claim)
        assert (folder.path / SPEC).stat().st_mtime_ns == before

    def test_edited(self, tmp_path):
        """Fails if training goes on in a folder whose spec was changed by hand."""
        self._refused(tmp_path, lambda data: data | {"seed": 5}, "holds another spec")

    def test_edited_to_nonsense(self, tmp_path):
        """Fails if the line does not say which field of the file is wrong."""
        self._refused(tmp_path, lambda data: data | {"seed": -1}, "seed")

    def test_with_a_field_of_another_version(self, tmp_path):
        """Fails if a field that is not known is dropped: the spec would mean something else."""
        self._refused(tmp_path, lambda data: data | {"novelty": 1}, "novelty")

    def test_truncated(self, tmp_path):
        """Fails if half a spec ends in a stack trace."""
        self._refused(tmp_path, None, "cannot be read as JSON")

    @staticmethod
    def _refused(root, edit, words):
        train, _ = factory.specs()
        folder = RunFolder(root / train.folder)
        with folder.claims.claim() as claim:
            folder.write_spec(train, claim)
            text = (folder.path / SPEC).read_text()
            (folder.path / SPEC).write_text(json.dumps(edit(json.loads(text))) if edit else text[:40])
            with pytest.raises(UserError) as error:
                folder.write_spec(train, claim)
        assert words in one_line(error)
        assert SPEC in one_line(error)


def test_a_record_of_schema_1_keeps_its_numbers(tmp_path):
    """Fails if a record from before trainings and scorings were told apart is refused, or changes a number."""
    path, made = factory.store(tmp_path)
    old = json.loads(path.read_text())
    told = old.pop("provenance")
    old |= {"schema_version": 1, "provenance": told["scoring"] | {"sources_sha256": told["sources_sha256"]}}
    for name in ("processor", "driver", "cuda", "load", "seconds", "device_seconds", "cpu_seconds", "energy_joules"):
        del old["provenance"][name]
    for name in ("train_data_sha256", "eval_data_sha256", "warnings"):
        del old["result"][name]
    path.write_text(json.dumps(old))
    read = load_record(path)
    assert read == made
    assert read.provenance.training is None


def test_what_may_not_be_read_is_named(tmp_path):
    """Fails if records in folders of a colleague with a strict umask are passed over without a word."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    path, _ = factory.store(tmp_path)
    locked = path.parents[2]
    code = (
        "import os, pathlib\n"
        "from results.store.folders import find_stored\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"print(*map(str, find_stored(pathlib.Path({str(tmp_path)!r}))), sep='\\n')\n"
    )
    for folder in tmp_path.resolve().parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    locked.chmod(0o700)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{locked}: may not be read")


def test_what_a_killed_owner_left_in_a_finished_run_goes(tmp_path):
    """Fails if a draft stays for ever beside a record, is taken from one at work, or a clean folder is claimed."""
    _, made = factory.store(tmp_path)
    folder = RunFolder(tmp_path / made.result.train.folder)
    folder.tidy()
    assert folder.claims.current() is None
    draft = folder.path / ".state.json.0123456789ab.tmp"
    draft.touch()
    with folder.claims.claim():
        folder.tidy()
        assert draft.exists()
    folder.tidy()
    assert not draft.exists()
    assert folder.read_state()["state"] == "done"
    assert not folder.claims.held()

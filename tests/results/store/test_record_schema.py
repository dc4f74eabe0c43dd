"""The JSON Schema of a record: a file that says what every field is."""

from __future__ import annotations

import json
import subprocess
import sys

from results.store.record import SCHEMA
from results.store.record_schema import FILE, fields_sha256, schema
from tests.results import factory

KNOWN = {2: "c14bd3b0a4b54e44f775c699d885a563dbae59b6d65a3088298c23fc2b714bd3"}  # version -> what its fields hash to


def test_the_file_is_the_schema_of_the_record() -> None:
    """Fails when a field or its description changes and the file in the package does not."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == schema(), "python -m results.store.record_schema"


def test_every_field_is_described() -> None:
    """Fails when a reader of the schema meets a field that nothing explains."""
    described = {"RunRecord": schema(), **schema()["$defs"]}
    fields = ((f"{kind}.{name}", field) for kind, of in described.items() for name, field in of["properties"].items())
    assert [name for name, field in fields if not field.get("description", "").strip(" .")] == []


def test_other_fields_are_another_version() -> None:
    """Fails when fields come or go and the version stays: an older harness could not say that it is too old."""
    assert fields_sha256() == KNOWN[SCHEMA], "raise SCHEMA, and give `migrate` the step from the version before"


def test_a_record_keeps_to_it() -> None:
    """Fails when what is stored is not what the schema says."""
    stored = json.loads(factory.record().model_dump_json())
    assert stored.keys() == schema()["properties"].keys()
    assert stored["provenance"]["scoring"].keys() == schema()["$defs"]["Phase"]["properties"].keys()


def test_the_command_writes_it(tmp_path) -> None:
    """Fails when the command that the other tests name does not work."""
    code = (
        "import runpy, pathlib, results.store.record_schema as r\n"
        "pathlib.Path.write_text = lambda self, text, **_: print(text)\n"
        "runpy.run_path(r.__file__, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == schema()

"""The JSON Schema of a record, a file of the package: `python -m results.store.record_schema` writes it anew."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from results.store.record import RunRecord

FILE = Path(__file__).with_name("record.schema.json")


def schema() -> dict[str, Any]:
    """As pydantic derives it from the fields and their descriptions."""
    return RunRecord.model_json_schema()


def fields_sha256() -> str:
    """sha256 over the names of all fields: what must not change without `SCHEMA`."""
    described = {"RunRecord": schema(), **schema()["$defs"]}
    names = sorted(f"{kind}.{name}" for kind, of in described.items() for name in of.get("properties", {}))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

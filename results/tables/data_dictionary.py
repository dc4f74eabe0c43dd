"""What every column of the exported tables means: written beside them, and as a page of the docs.

Of columns that are fields of the record, the record itself says it (`results.store.record`).

python -m results.tables.data_dictionary > docs/export.md
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.values import Value
from results.store.record import Costs, Result, Scores


class Described(NamedTuple):
    """One column of one table."""

    table: str
    column: str
    kind: str  # text, integer, number (a float), boolean
    unit: str
    meaning: str


JOINED = "`record` joins the tables: one stored record is one number in all of them."
_RECORD = ("record", "integer", "", "Number of the stored record, in the order of run, evaluation and time")
_FRACTION = "fraction"
_UNKNOWN = "; empty of predictions imported without scores"


def _fields(of: type[Value], kind: str, unit: str, *names: str) -> tuple[tuple[str, str, str, str], ...]:
    """Columns that are fields of the record, which says what they mean."""
    said = [" ".join((of.model_fields[name].description or "").split()).removesuffix(".") for name in names]
    return tuple((name, kind, unit, meaning) for name, meaning in zip(names, said, strict=True))


_METRICS = _fields(Scores, "number", _FRACTION, "pacc", "miou_seen", "miou_unseen", "hiou")
_TABLES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "runs": (
        _RECORD,
        ("run", "text", "", "Folder of the training below the root of runs"),
        ("evaluation", "text", "", "Key of the scoring"),
        ("benchmark", "text", "", "Benchmark that was scored"),
        ("kind", "text", "", "generalised, or episodic-binary (the class of each item is given)"),
        ("part", "text", "", "Part that was scored; only val is a result"),
        ("source", "text", "", "Benchmark of the training where weights are scored elsewhere, else empty"),
        ("method", "text", "", "Name of the method"),
        ("label", "text", "", "Name as tables print it"),
        ("config", "text", "", "Settings off their defaults, JSON"),
        ("clip", "text", "", "CLIP model and weights"),
        ("recipe", "text", "", "Recipe of the training, JSON"),
        ("setting", "text", "", "inductive, transductive, transductive-known-extent or fully-supervised"),
        ("background", "text", "", "What background is in scoring: ignored, or a class"),
        ("fold", "integer", "", "Fold that was scored"),
        ("seed", "integer", "", "Seed of the training"),
        ("precision", "text", "", "Number format of the scoring's forward pass"),
        ("partial", "boolean", "", "Part of the data or a trial run: no result"),
        ("drawn", "boolean", "", "A setting drawn to see how much constants matter: in no table"),
        ("tuned_on_test", "boolean", "", "Settings were compared on the scored images: no result"),
        ("stale", "boolean", "", "Method sources, body weights or files of the data have changed since"),
        *_fields(Result, "text", "", "protocol_hash", "family_hash"),
        *((name, kind, unit, f"{meaning}, at the method's own shift") for name, kind, unit, meaning in _METRICS),
        *_fields(Scores, "number", _FRACTION, "fb_iou"),
        ("hiou_unshifted", "number", _FRACTION, f"hIoU without a shift of the seen scores{_UNKNOWN}"),
        (
            "hiou_best",
            "number",
            _FRACTION,
            f"hIoU at the best shift, chosen on the scored images: an oracle, no result{_UNKNOWN}",
        ),
        ("own_shift", "number", "score", f"The method's own shift, taken off the seen scores{_UNKNOWN}"),
        ("best_shift", "number", "score", f"The shift of hiou_best{_UNKNOWN}"),
        *_fields(Result, "integer", "images", "images"),
        *_fields(Result, "integer", "pixels", "labelled_pixels", "ignored_pixels"),
        *_fields(Costs, "integer", "parameters", "parameters_trainable", "parameters_total"),
        *_fields(Costs, "number", "s", "train_seconds", "eval_seconds"),
        *_fields(Costs, "number", "MiB", "peak_memory_mib"),
        ("device", "text", "", "Device of the scoring"),
        ("commit", "text", "", "Commit of the harness that scored"),
        *_fields(Result, "text", "", "weights_sha256"),
    ),
    "classes": (
        _RECORD,
        ("class", "text", "", "Name of the class"),
        ("seen", "boolean", "", "Was it labelled in training?"),
        ("tp", "integer", "pixels", "Pixels of the class predicted as it, at the own shift"),
        ("fp", "integer", "pixels", "Pixels of other classes predicted as it"),
        ("fn", "integer", "pixels", "Pixels of the class predicted as another"),
        ("iou", "number", _FRACTION, "tp / (tp + fp + fn); empty where the class is not averaged"),
    ),
    "images": (
        _RECORD,
        ("image", "integer", "", "Place of the image (or item) in the scored list, from 0"),
        ("truth", "text", "", "Class of the truth"),
        ("prediction", "text", "", "Class that was predicted, at the own shift"),
        ("pixels", "integer", "pixels", "Pixels of this pair in this image; pairs without any are left out"),
    ),
    "sweeps": (
        _RECORD,
        ("shift", "number", "score", "Taken off the seen scores; -inf: all pixels seen, inf: all unseen"),
        ("own", "boolean", "", "Is it the method's own shift?"),
        *_METRICS,
    ),
}
TABLES = tuple(_TABLES)
DICTIONARY = tuple(Described(table, *column) for table, columns in _TABLES.items() for column in columns)


def columns_of(table: str) -> dict[str, str]:
    """The columns of a table, in their order, and the kind of each."""
    return {described.column: described.kind for described in DICTIONARY if described.table == table}


def page() -> str:
    """The dictionary as a page of the docs."""
    lines = [
        "# Exported tables: the data dictionary",
        "",
        "`python harness.py export --out DIR` writes four tidy tables of stored records, as CSV and (with pyarrow) as",
        "parquet, and `dictionary.csv`, which says the same as this page. Values are unrounded; empty is undefined.",
        JOINED,
        "Episodic items have rows in `runs` and `classes` alone.",
        "",
        "In CSV a text that a spreadsheet would take for a formula has an apostrophe before it, and control codes are",
        "spelled out. Parquet holds texts as they are stored.",
        "",
        "`export --out FILE.csv` (or `.parquet`) writes every field of every record as one table instead.",
        "`export --compute` prints the hours of all attempts by method and device.",
    ]
    for table in TABLES:
        lines += ["", f"## {table}", "", "| column | kind | unit | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| `{d.column}` | {d.kind} | {d.unit} | {d.meaning} |" for d in DICTIONARY if d.table == table]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")

"""Croissant metadata of the built-in world: `make readme` writes `benchmarks/shapes/croissant.json`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from benchmarks.shapes.world import BACKGROUND, NAMES, PARTS

PROJECT = Path(__file__).resolve().parent.parent
RENDERER = PROJECT / "benchmarks" / "shapes" / "world.py"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant() -> str:
    """The metadata as JSON-LD."""
    return json.dumps(_metadata(), indent=1, ensure_ascii=False) + "\n"


def _metadata() -> dict:
    parts = ", ".join(f"{name} {part.count} (seed {part.seed})" for name, part in PARTS.items())
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "shapes-5i",
        "description": (
            "A procedural world for zero-shot semantic segmentation: scenes of one to three drawn objects with exact "
            "masks. Nothing is stored: every scene follows from a seed and a number, byte for byte. Four folds hide "
            f"five classes each. Parts: {parts}. It is no evidence about photos."
        ),
        "license": "https://www.apache.org/licenses/LICENSE-2.0",
        "citeAs": "See CITATION.cff of the harness.",
        "creator": {"@type": "sc:Organization", "name": "zero-shot-segmentation-harness maintainers"},
        "datePublished": "2026-11-27",
        "version": "1.0.0",
        "keywords": ["zero-shot", "semantic segmentation", "synthetic"],
        "isLiveDataset": False,
        "rai:hasSyntheticData": True,
        "rai:dataCollection": "Rendered by benchmarks/shapes/world.py; no photo, person or place is in it.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "renderer",
                "name": "renderer",
                "description": "The program that draws every scene and its mask.",
                "contentUrl": "world.py",
                "encodingFormat": "text/x-python",
                "sha256": hashlib.sha256(RENDERER.read_bytes()).hexdigest(),
            }
        ],
        "recordSet": [_record_set("classes", "id", _classes()), _record_set("parts", "seed", _parts())],
    }


def _classes() -> list[dict]:
    return [{"name": "background", "id": BACKGROUND}, *({"name": n, "id": i} for i, n in enumerate(NAMES, 1))]


def _parts() -> list[dict]:
    return [{"name": name, "seed": part.seed, "scenes": part.count} for name, part in PARTS.items()]


def _record_set(name: str, key: str, rows: list[dict]) -> dict:
    kinds = {field: "sc:Integer" if isinstance(value, int) else "sc:Text" for field, value in rows[0].items()}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/{key}"},
        "field": [
            {"@type": "cr:Field", "@id": f"{name}/{field}", "name": field, "dataType": kind}
            for field, kind in kinds.items()
        ],
        "data": [{f"{name}/{field}": value for field, value in row.items()} for row in rows],
    }

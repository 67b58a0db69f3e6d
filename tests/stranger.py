"""A reader from outside: decodes records with fastavro and the files of `schemas/`, and shares no code with the product."""

import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import fastavro

_FOLDER = Path(__file__).parent.parent / "schemas"


def decode(value: bytes) -> dict[str, Any]:
    """Return the record in a topic's value as fastavro reads it; every byte must belong to it."""
    assert value[0] == 0, "another magic byte"
    body = io.BytesIO(value[5:])
    record = fastavro.schemaless_reader(body, _schemas()[int.from_bytes(value[1:5], "big")], None)
    assert not body.read(), "bytes after the record"
    assert isinstance(record, dict)
    return record


def record_name(value: bytes) -> str:
    """Return the full record name of a topic's value."""
    return str(_schemas()[int.from_bytes(value[1:5], "big")]["name"])


@cache
def _schemas() -> dict[int, Any]:
    files: dict[tuple[str, int], Any] = {}
    for path in _FOLDER.rglob("*.avsc"):
        schema = json.loads(path.read_text("utf-8"))
        numbered = re.search(r"\.v(\d+)\.avsc$", path.name)
        assert numbered, path
        files[f"{schema['namespace']}.{schema['name']}", int(numbered[1])] = fastavro.parse_schema(schema)
    lock = json.loads((_FOLDER / "lock.json").read_text("utf-8"))
    return {
        entry["id"]: files[re.sub(r"^hotline\.[a-z-]+-", "", subject), int(version)]
        for subject, versions in lock["subjects"].items()
        for version, entry in versions.items()
    }

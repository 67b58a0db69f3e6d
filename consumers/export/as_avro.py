"""Rows as an Avro object container file: each column null or its kind, moments as `timestamp-micros`, compressed with deflate."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import fastavro

from consumers.export.columns import FLAG, MOMENT, NUMBER, TEXT, Column, Row

_TYPES: dict[str, Any] = {TEXT: "string", NUMBER: "long", FLAG: "boolean", MOMENT: {"type": "long", "logicalType": "timestamp-micros"}}
_BRANCHES = {TEXT: "string", NUMBER: "long", FLAG: "boolean", MOMENT: "long"}
_SYNC_BYTES = 16
_BLOCK_BYTES = 64_000


def write(what: str, columns: Sequence[Column], rows: Iterable[Row], out: BinaryIO) -> None:
    """Write `rows` into `out`; the marker between blocks, elsewhere random, is made from the schema."""
    schema = {
        "type": "record",
        "namespace": "hotline.export",
        "name": "".join(word.capitalize() for word in what.replace(".", "-").replace("_", "-").split("-")),
        "doc": f"One row of {what}.",
        "fields": [{"name": c.name, "doc": " / ".join(c.docs), "type": ["null", _TYPES[c.kind]], "default": None} for c in columns],
    }
    names = [(column.name, _BRANCHES[column.kind]) for column in columns]
    records = ({name: value if value is None else (kind, value) for (name, kind), value in zip(names, row, strict=True)} for row in rows)
    marker = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).digest()[:_SYNC_BYTES]
    fastavro.writer(out, _parsed(schema), records, codec="deflate", sync_interval=_BLOCK_BYTES, sync_marker=marker)


def _parsed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` as fastavro wants it, its keys in one order: theirs changes from process to process, and stands in the file."""
    parsed: Any = fastavro.parse_schema(schema)
    parsed["fields"] = [_in_order({**field, "type": [_in_order(branch) for branch in field["type"]]}) for field in parsed["fields"]]
    return dict(_in_order(parsed))


def _in_order(part: Any) -> Any:
    return dict(sorted(part.items())) if isinstance(part, dict) else part

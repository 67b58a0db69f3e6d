"""Exports as other people's tools read them, and what must stand in them: fastavro, pyarrow, csv and the files of `schemas/` alone."""

import csv
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.dataset

from tests import stranger
from tests.oracle import Told

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMAS = Path(__file__).parents[3] / "schemas"
Rows = list[dict[str, Any]]


def read_parquet(folder: Path) -> Rows:
    """Return the rows of a whole folder, read as one table."""
    rows: Rows = pyarrow.dataset.dataset(folder, format="parquet").to_table().to_pylist()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def read_avro(folder: Path) -> Rows:
    """Return the rows of all files of a folder."""
    found: Rows = []
    for path in sorted(folder.glob("*.avro")):
        with path.open("rb") as file:
            for row in fastavro.reader(file):
                assert isinstance(row, dict)
                found.append({name: _plain(value) for name, value in row.items()})
    return found


def read_csv(folder: Path) -> Rows:
    """Return the rows of all files of a folder; every value is text."""
    found: Rows = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file))
    return found


def in_words(row: dict[str, Any], moments: Iterable[str]) -> dict[str, str]:
    """Return a row as CSV tells it."""
    return {name: _word(value, is_moment=name in moments) for name, value in row.items()}


def _word(value: Any, *, is_moment: bool) -> str:
    if is_moment and value is not None:
        return (_EPOCH + timedelta(microseconds=value)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {None: "", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def expected(record: Told, names: Iterable[str], *, void: bool = False) -> dict[str, Any]:
    """Return the row of a record in a table of those columns, by the stranger's reading of it; unreadable ones have only their place."""
    row: dict[str, Any] = dict.fromkeys(names)
    row |= {"log_topic": record.topic, "log_partition": record.partition, "log_offset": record.offset, "appended_at": record.appended_at}
    row |= {"void": void, "type": record.name}
    if record.name is None:
        return row
    row["schema_id"] = int.from_bytes(record.value[1:5], "big")
    sealed = _sealed()[record.name]
    return row | {name: _told(value, sealed) for name, value in record.fields.items() if name not in sealed}


def _told(value: Any, sealed: frozenset[str]) -> Any:
    if isinstance(value, list):
        return json.dumps([_inner(one, sealed) for one in value], ensure_ascii=False, separators=(",", ":"))
    return value.hex() if isinstance(value, bytes) else value


def _inner(value: Any, sealed: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _inner(one, sealed) for name, one in value.items() if name not in sealed}
    return value.hex() if isinstance(value, bytes) else value


@cache
def _sealed() -> dict[str, frozenset[str]]:
    """For each record: the fields with something personal in them, at any depth."""
    found = {}
    for path in _SCHEMAS.rglob("*.avsc"):
        schema = json.loads(path.read_text("utf-8"))
        found[f"{schema['namespace']}.{schema['name']}"] = frozenset(_tagged(schema))
    return found


def _tagged(part: Any) -> list[str]:
    inner = part if isinstance(part, list) else list(part.values()) if isinstance(part, dict) else []
    own = [part["name"]] if isinstance(part, dict) and "personal" in part else []
    return own + [name for one in inner for name in _tagged(one)]


def told(topic: str, partition: int, offset: int, appended_at: int, value: bytes) -> Told:
    """Return a record as a stranger reads it."""
    place = (topic, partition, offset, b"", appended_at, value)
    try:
        return Told(*place, stranger.record_name(value), stranger.decode(value))
    except (AssertionError, LookupError, ValueError, TypeError, EOFError):
        return Told(*place, None, {})

"""Examples and golden records of every version of every event, and whether each is read as its author meant it.

An example is one JSON object: each field by its name, numbers and text as they are, ids and sealed values in hex, `null` where nobody gave
one. A golden record is the same event as a record's value, framed, in hex: what a writer of that version left on the log. Knows these
forms and Avro's encoding; must not know the codec, so that those of old versions are tried as well.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import fastavro.schema

from events.catalogue import EventType
from events.wire.decoders import HEADER_BYTES, RAW_ERRORS, Avro, NoDecoder, Undecodable, compile_decoder
from events.wire.schemas import Locked, snake


class BadExample(Exception):
    """An example is missing or does not fit its schema; the text says which."""


def example_path(folder: Path, kind: EventType, version: int) -> Path:
    """Where the example of one version lies."""
    return folder / "examples" / kind.folder / f"{snake(kind.event.__name__)}.v{version}.json"


def read_example(path: Path, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the example in `path` with its hex turned into bytes. OSError if there is none; ValueError or KeyError if it is broken."""
    record: dict[str, Any] = _values(schema, json.loads(path.read_text("utf-8")), {})
    return record


def _values(avro: Avro, value: Any, named: dict[str, Avro]) -> Any:
    if isinstance(avro, str):
        return _values(named[avro], value, named) if avro in named else bytes.fromhex(value) if avro == "bytes" else value
    if isinstance(avro, list):
        if value is not None or not isinstance(avro[1], str):  # a type defined here may be named later
            one = _values(avro[1], "" if value is None else value, named)
        return None if value is None else one
    if avro["type"] == "fixed":
        named[avro["name"]] = avro
        return bytes.fromhex(value)
    if avro["type"] == "array":
        return [_values(avro["items"], one, named) for one in value]
    if avro["type"] == "record":
        if unknown := value.keys() - {one["name"] for one in avro["fields"]}:
            raise ValueError(f"no such fields: {', '.join(sorted(unknown))}")
        return {one["name"]: _values(one["type"], value[one["name"]], named) for one in avro["fields"]}
    return value


def framed_example(folder: Path, kind: EventType, version: int, schema: dict[str, Any], schema_id: int) -> bytes:
    """Return the example of one version as the value of a record: a zero byte, the id in four bytes, then the body. BadExample."""
    path = example_path(folder, kind, version)
    out = io.BytesIO()
    out.write(b"\0" + schema_id.to_bytes(HEADER_BYTES - 1, "big"))
    try:
        fastavro.schemaless_writer(out, fastavro.parse_schema(schema), read_example(path, schema))
    except OSError:
        raise BadExample(f"{path.relative_to(folder)} is missing") from None
    except (ValueError, LookupError, OverflowError, TypeError, AttributeError, fastavro.schema.SchemaParseException) as wrong:
        raise BadExample(f"{path.relative_to(folder)} does not fit its schema: {type(wrong).__name__} {wrong}") from wrong
    return out.getvalue()


def example_problems(folder: Path, kind: EventType, version: int, schema: dict[str, Any], newest: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one version's example: missing, broken, or decoded to something else."""
    path = example_path(folder, kind, version)
    place = path.relative_to(folder)
    try:
        event = compile_decoder(schema, newest, kind.event)(framed_example(folder, kind, version, schema, 0))
    except BadExample as wrong:
        yield str(wrong)
    except (NoDecoder, Undecodable, *RAW_ERRORS) as wrong:
        yield f"{place} cannot be read as the newest version: {type(wrong).__name__} {wrong}"
    else:
        for name, value in read_example(path, schema).items():
            if hasattr(event, name) and not _same(getattr(event, name), value):
                yield f"{place}: {name} is decoded to something else"


def golden_path(folder: Path, kind: EventType, version: int) -> Path:
    """Where the golden record of one version lies."""
    return folder / "golden" / kind.folder / f"{snake(kind.event.__name__)}.v{version}.hex"


def golden_text(folder: Path, kind: EventType, version: int, schema: dict[str, Any], schema_id: int) -> str:
    """Return what the golden record of one version must be, one line of hex: its example as a record's value. BadExample."""
    return framed_example(folder, kind, version, schema, schema_id).hex() + "\n"


def golden_problems(folder: Path, kind: EventType, version: int, schema: dict[str, Any], entry: Locked) -> Iterator[str]:
    """Yield what is wrong with one version's golden record: missing, or not its example in bytes. The example must be in order."""
    path = golden_path(folder, kind, version)
    remedy = f"restore it and its example as {entry.released} has them" if entry.released else "hotline schemas lock"
    if not path.exists():
        yield f"{path.relative_to(folder)} is missing: {remedy}"
    elif path.read_text("ascii", errors="replace") != golden_text(folder, kind, version, schema, entry.id):
        yield f"{path.relative_to(folder)} is not its example in bytes: {remedy}"


def _same(decoded: Any, written: Any) -> bool:
    if isinstance(decoded, tuple):
        return len(decoded) == len(written) and all(_same(one, other) for one, other in zip(decoded, written, strict=True))
    if isinstance(written, dict):
        return all(_same(getattr(decoded, name), value) for name, value in written.items())
    return bool(decoded == written)

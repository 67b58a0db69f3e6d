"""The one way in and out of bytes: an event becomes a framed Avro record with headers, and back (Confluent's wire format).

Knows ids and decoders; must not know Kafka's client or what events mean. Encoding goes through fastavro, decoding through decoders that are
generated from the schemas.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import fastavro

from events.catalogue import EVENT_TYPES, KeyOf
from events.envelope import Event
from events.wire.decoders import EARLIEST_US, HEADER_BYTES, LATEST_US, RAW_ERRORS, Avro, Decode, Undecodable, compile_decoder
from events.wire.schemas import FIRST_ID, Schemas, load

__all__ = ["Codec", "Encoded", "Undecodable", "Unencodable", "UnknownSchema", "load_codec"]

_MAGIC = b"\0"
IDS_AHEAD = 10_000  # how many schemas a newer producer may know that we do not
_INT_MAX = (1 << 31) - 1
_LONG_MAX = (1 << 63) - 1
Wrap = Callable[[Any], Any]


class UnknownSchema(Exception):
    """A record names a schema id that this program does not know: a newer producer was deployed first, so wait."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"no schema with id {schema_id}")
        self.schema_id = schema_id


class Unencodable(Exception):
    """An event does not fit its schema or topic: a fault in our own code. Names the event's type, never a value."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record ready for a producer; nothing in key and headers is about a person."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Shape:
    """How an instance of one class becomes the record that fastavro takes quickest: unions named, so that it need not guess a branch."""

    names: tuple[str, ...]
    values_of: Callable[[Any], tuple[Any, ...]]
    ranges: tuple[tuple[str, int, int], ...]  # name, least, greatest
    wraps: tuple[tuple[str, Wrap], ...]

    def record_of(self, instance: object) -> dict[str, Any]:
        """Return the fields by name. ValueError names a number that is none or too great."""
        record = dict(zip(self.names, self.values_of(instance), strict=True))
        for name, least, greatest in self.ranges:
            value = record[name]
            # fastavro would write a fraction without its fraction, and an int of 40 bits that no reader takes
            if value is not None and not (type(value) is int and least <= value <= greatest):
                raise ValueError(name)
        for name, wrap in self.wraps:
            record[name] = wrap(record[name])
        return record


@dataclass(frozen=True, slots=True)
class _Plan:
    """How events of one class on one topic are encoded."""

    topic: str
    prefix: bytes
    type_: bytes
    schema: Any
    shape: _Shape
    key_of: KeyOf


class Codec:
    """Encodes and decodes events of every type in the catalogue."""

    def __init__(self, schemas: Schemas) -> None:
        self._plans = {(kind.event, topic): _plan(schemas, kind.event, topic, kind.key_of) for kind in EVENT_TYPES for topic in kind.topics}
        self._newest_id = max(schemas.by_id)
        self._first_topic: Mapping[type[Event], str] = {kind.event: kind.topics[0] for kind in EVENT_TYPES}
        self._decoders: dict[bytes, Decode] = {
            _prefix(one.id): compile_decoder(one.schema, schemas.latest_of(one.event).schema, one.event) for one in schemas.by_id.values()
        }

    def encode(self, event: Event, source: str, traceparent: str | None = None, topic: str | None = None) -> Encoded:
        """Return `event` as a record for `topic` (default: its type's first); `source` names the process that says so. Unencodable."""
        plan = self._plans.get((type(event), topic or self._first_topic.get(type(event), "")))
        if plan is None:
            raise Unencodable(f"{type(event).__name__} has no place on {topic}")
        out = io.BytesIO()
        out.write(plan.prefix)
        try:
            fastavro.schemaless_writer(out, plan.schema, plan.shape.record_of(event))
        except (TypeError, ValueError, AttributeError, OverflowError, KeyError):
            fits = False  # raised below, outside: the error's text and its context may hold a value
        else:
            fits = True
        if not fits:
            raise Unencodable(f"a value of a {type(event).__name__} does not fit its schema")
        headers = [
            ("ce_id", event.event_id.hex().encode()),
            ("ce_type", plan.type_),
            ("ce_source", source.encode()),
            ("ce_specversion", b"1.0"),
        ]
        if traceparent is not None:
            headers.append(("traceparent", traceparent.encode()))
        return Encoded(plan.topic, plan.key_of(event).encode(), out.getvalue(), headers)

    def decode(self, value: bytes | None) -> Event:
        """Return the event in a record's value. UnknownSchema if its id is not ours (yet), Undecodable if it is no record at all."""
        decode = self._decoders.get(value[:HEADER_BYTES]) if value is not None else None
        if value is None or decode is None:
            raise self._why_not(value)
        try:
            return decode(value)
        except RAW_ERRORS:
            pass  # raised below, outside: their context may hold bytes of the record
        raise Undecodable("the record is cut short, or a value in it is none of its type")

    def _why_not(self, value: bytes | None) -> UnknownSchema | Undecodable:
        """Tell a schema newer than this program, which is worth waiting for, from bytes that no deployment will ever explain."""
        if value is None or len(value) < HEADER_BYTES or value[:1] != _MAGIC:
            return Undecodable("no framed record: nothing there, too short, or another magic byte")
        schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
        if FIRST_ID <= schema_id <= self._newest_id + IDS_AHEAD:
            return UnknownSchema(schema_id)
        return Undecodable("the schema id is none of ours")


@cache
def load_codec() -> Codec:
    """Return the codec over the folder `schemas/`, made once per process."""
    return Codec(load())


def _prefix(schema_id: int) -> bytes:
    return _MAGIC + schema_id.to_bytes(HEADER_BYTES - 1, "big")


def _plan(schemas: Schemas, event: type[Event], topic: str, key_of: KeyOf) -> _Plan:
    latest = schemas.by_id[schemas.latest_id(event, topic)]
    shape = _shape(latest.schema["fields"], latest.schema["namespace"])
    parsed = fastavro.parse_schema(latest.schema)
    return _Plan(topic, _prefix(latest.id), latest.full_name.encode(), parsed, shape, key_of)


def _shape(avro_fields: list[dict[str, Any]], namespace: str) -> _Shape:
    names = tuple(one["name"] for one in avro_fields)
    ranges = tuple((one["name"], *bounds) for one in avro_fields if (bounds := _bounds(one["name"], one["type"])))
    wraps = tuple((one["name"], wrap) for one in avro_fields if (wrap := _wrap(one["type"], namespace)))
    return _Shape(names, attrgetter(*names), ranges, wraps)


def _bounds(name: str, avro: Avro) -> tuple[int, int] | None:
    """Return the least and the greatest number that a field holds; None for what is no number."""
    plain = avro[1] if isinstance(avro, list) else avro
    if plain == "long" and name.endswith("_at"):
        return EARLIEST_US, LATEST_US
    greatest = {"int": _INT_MAX, "long": _LONG_MAX}.get(plain) if isinstance(plain, str) else None
    return None if greatest is None else (-greatest - 1, greatest)


def _wrap(avro: Avro, namespace: str) -> Wrap | None:
    """Return what turns a class's value into fastavro's form; None where they are the same."""
    if isinstance(avro, list):
        branch = avro[1] if isinstance(avro[1], str) else _full(avro[1]["name"], namespace)
        return lambda value: None if value is None else (branch, value)
    if isinstance(avro, dict) and avro["type"] == "array":
        return _wrap_items(avro["items"], namespace)
    return None


def _wrap_items(items: Avro, namespace: str) -> Wrap:
    if not (isinstance(items, dict) and items["type"] == "record"):
        return list
    shape = _shape(items["fields"], namespace)
    return lambda values: [shape.record_of(one) for one in values]


def _full(name: str, namespace: str) -> str:
    return name if "." in name else f"{namespace}.{name}"

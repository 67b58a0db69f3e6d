"""The flat table of a topic: which columns it has, and how a record becomes a row of them.

Made from the schemas and the classes of events alone: first where a record lies, then every field that an event of the topic has. One name
with one kind is one column, whichever event fills it; a name with two kinds, or one that says where a record lies, has its kind behind it.
Sealed values are left out, and so is the record's key, in which a stranger may write anything. Must not know Kafka or the formats of files.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from events.catalogue import EVENT_TYPES, EventType
from events.envelope import Event
from events.wire import schemas
from events.wire.codec import Undecodable, load_codec
from projectors.record import Record

TEXT, NUMBER, FLAG, MOMENT = "text", "number", "flag", "moment"  # a moment: microseconds since 1970 in UTC

Row = tuple[Any, ...]
"""One value for each column; None: the event has no such field, or nothing in it."""


class Column(NamedTuple):
    """One column of a flat table: its name, the kind of its values, and what they mean, in as many ways as schemas say it."""

    name: str
    kind: str
    docs: tuple[str, ...]


PLACE_COLUMNS: tuple[Column, ...] = (
    Column("log_topic", TEXT, ("Topic on which the record lies.",)),
    Column("log_partition", NUMBER, ("Its partition.",)),
    Column("log_offset", NUMBER, ("Its offset there.",)),
    Column("appended_at", MOMENT, ("When the log took it, by the broker's clock.",)),
    Column("schema_id", NUMBER, ("Id of the schema that wrote it, as schemas/lock.json has it; empty when nobody can read the record.",)),
    Column("type", TEXT, ("Full name of its schema's record; empty when nobody can read it.",)),
    Column("void", FLAG, ("Whether an era had ended before it: then it counts for nothing.",)),
    Column("unreadable", TEXT, ("Why nobody can read it; empty when it can be read.",)),
)
_RESERVED = frozenset(column.name for column in PLACE_COLUMNS)
_KINDS: Mapping[Any, str] = {int: NUMBER, bool: FLAG}


class _Field(NamedTuple):
    """One field of one event, as a column shows it."""

    name: str
    kind: str
    doc: str
    shown: str | Callable[[Any], Any]  # as: plain, hex; or by a function


def types_on(topic: str) -> tuple[EventType, ...]:
    """Return the events that may lie on `topic`, in the order of the catalogue; none for a topic that is not ours."""
    return tuple(kind for kind in EVENT_TYPES if topic in kind.topics)


class FlatTable:
    """The columns of one topic, and its records as rows of them."""

    def __init__(self, kinds: Sequence[EventType]) -> None:
        known = schemas.load()
        fields_of = {kind: _fields_of(known.latest_of(kind.event).schema, kind.event) for kind in kinds}
        told = [field for found in fields_of.values() for field in found]
        kinds_of: dict[str, set[str]] = {}
        for field in told:
            kinds_of.setdefault(field.name, set()).add(field.kind)

        def column_of(field: _Field) -> str:
            alone = len(kinds_of[field.name]) == 1 and field.name not in _RESERVED
            return field.name if alone else f"{field.name}_{field.kind}"

        docs: dict[tuple[str, str], dict[str, None]] = {}
        for field in told:
            docs.setdefault((column_of(field), field.kind), {})[field.doc] = None
        own = [Column(name, kind, tuple(said)) for (name, kind), said in docs.items()]
        self.columns: tuple[Column, ...] = (*PLACE_COLUMNS, *own)
        self.schema_ids: tuple[int, ...] = tuple(sorted(one.id for one in known.by_id.values() if one.event in {k.event for k in kinds}))
        self._makers: dict[type[Any], Callable[[Record, Any], Row]] = {
            kind.event: _compile(kind.record_name, {column_of(field): field for field in found}, own) for kind, found in fields_of.items()
        }
        self._no_fields = (None,) * len(own)

    def row_of(self, record: Record) -> Row:
        """Return `record` as a row. Raises UnknownSchema for one that only a newer version of this program can read."""
        event = record.event
        if (make := self._makers.get(type(event))) is not None:
            return make(record, event)
        if event is None:
            _require_old(record.raw)
        why = record.unreadable or f"a {type(event).__name__} has no place on this topic"
        return (record.topic, record.partition, record.offset, record.appended_at, None, None, record.void, why, *self._no_fields)


def _require_old(raw: bytes) -> None:
    """Raise UnknownSchema for bytes that a later version of this program will be able to read."""
    with suppress(Undecodable):
        load_codec().decode(raw)


def _fields_of(schema: Mapping[str, Any], event: type[Event]) -> list[_Field]:
    """Return what of an event stands in a table, in the order of its schema."""
    hints, sealed = get_type_hints(event), frozenset(_tagged([one["type"] for one in schema["fields"]]))
    return [_field(one, hints[one["name"]], sealed) for one in schema["fields"] if "personal" not in one]


def _field(said: Mapping[str, Any], hint: Any, sealed: frozenset[str]) -> _Field:
    name, doc = said["name"], said["doc"]
    plain = next(one for one in get_args(hint) if one is not type(None)) if isinstance(hint, UnionType) else hint
    if get_origin(plain) is tuple:
        return _Field(name, TEXT, f"{doc} As JSON.", lambda values: _as_json(values, sealed))
    if plain is bytes:
        return _Field(name, TEXT, doc, "hex")
    kind = MOMENT if plain is int and name.endswith("_at") else _KINDS.get(plain, TEXT)
    return _Field(name, kind, doc, "plain")


def _tagged(part: object) -> Iterator[str]:
    """Yield the name of each field inside `part` of a schema that holds something personal."""
    if isinstance(part, list):
        for one in part:
            yield from _tagged(one)
    elif isinstance(part, Mapping):
        for one in part.get("fields", ()):
            if "personal" in one:
                yield one["name"]
        yield from _tagged([part.get("items"), part["type"], *(one["type"] for one in part.get("fields", ()))])


def _as_json(values: tuple[Any, ...], sealed: frozenset[str]) -> str:
    return json.dumps(_plain(values, sealed), ensure_ascii=False, separators=(",", ":")) if values else "[]"


def _plain(value: Any, sealed: frozenset[str]) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(one, sealed) for one in value]
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name), sealed) for one in fields(value) if one.name not in sealed}
    return value


def _compile(record_name: str, by_column: Mapping[str, _Field], own: Sequence[Column]) -> Callable[[Record, Any], Row]:
    """Return what makes the row of one kind of event; written out, for it runs for every record and a loop takes several times as long."""
    scope: dict[str, Any] = {"NAME": record_name}
    values = ["r.topic", "r.partition", "r.offset", "r.appended_at", "int.from_bytes(r.raw[1:5], 'big')", "NAME", "r.void", "None"]
    for place, column in enumerate(own):
        field = by_column.get(column.name)
        if field is None:
            values.append("None")
        elif field.shown == "plain":
            values.append(f"e.{field.name}")
        elif field.shown == "hex":
            values.append(f"(None if e.{field.name} is None else e.{field.name}.hex())")
        else:
            scope[f"show_{place}"] = field.shown
            values.append(f"show_{place}(e.{field.name})")
    exec(f"def row(r, e):\n    return ({', '.join(values)})", scope)  # noqa: S102 - names of our own fields
    row: Callable[[Record, Any], Row] = scope["row"]
    return row

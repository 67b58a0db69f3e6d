"""The topics as their readers are told of them: all that `schemas/` says of each topic and each event, put together once.

Knows the folder's files and what a field's type and tags mean in words; must not know which form the telling takes (`asyncapi` is one, the
page of the query application another). Whatever is told stands in `schemas/`; nothing here is said a second time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from events.catalogue import EVENT_TYPES, EventType
from events.wire.schema_examples import example_path, read_example
from events.wire.schemas import FOLDER, Topic, WriterSchema, guarantees, load, topics

_DAY_MS = 86_400_000
_WORDS = {"string": "text", "bytes": "bytes", "int": "whole number, 32 bits", "long": "whole number, 64 bits", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event in words; those of records inside it follow with their path, `decisions[].number`."""

    path: str
    type: str
    doc: str
    sealed: tuple[str, str] | None
    """Whose it is and of which category, where it is a sealed value."""
    code: str | None
    """What it is, where it is text in clear."""
    default: str | None
    """As JSON; None where a writer must say it."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an event's schema."""

    number: int
    id: int
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Described:
    """One event: its newest schema in words, one example of it, and every version with its id."""

    name: str
    doc: str
    topics: tuple[str, ...]
    fields: tuple[Field, ...]
    example: Mapping[str, Any]
    """Fields by name; ids and sealed values in hex."""
    example_key: str
    versions: tuple[Version, ...]
    """The newest last."""

    @property
    def sealed(self) -> tuple[Field, ...]:
        """The fields that hold sealed values."""
        return tuple(field for field in self.fields if field.sealed)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything there is to tell."""

    guarantees: tuple[str, ...]
    """What holds for every topic."""
    topics: tuple[Topic, ...]
    events: tuple[Described, ...]

    def on(self, topic: str) -> list[Described]:
        """Return the events that lie on a topic, in the order of the catalogue."""
        return [event for event in self.events if topic in event.topics]


@cache
def describe(folder: Path = FOLDER) -> Catalogue:
    """Read all of `folder`. BadSchemas, OSError, ValueError or KeyError where it is not in order."""
    schemas = sorted(load(folder).by_id.values(), key=lambda one: one.version)
    events = (_described(kind, [one for one in schemas if one.event is kind.event], folder) for kind in EVENT_TYPES)
    return Catalogue(guarantees(folder), tuple(topics(folder).values()), tuple(events))


def _described(kind: EventType, schemas: list[WriterSchema], folder: Path) -> Described:
    newest = schemas[-1]
    path = example_path(folder, kind, newest.version)
    return Described(
        name=kind.record_name,
        doc=newest.schema["doc"],
        topics=kind.topics,
        fields=tuple(_fields(newest.schema, "", {})),
        example=json.loads(path.read_text("utf-8")),
        example_key=kind.key_of(SimpleNamespace(**read_example(path, newest.schema))),
        versions=tuple(Version(one.version, one.id, one.schema) for one in schemas),
    )


def _fields(record: Mapping[str, Any], before: str, named: dict[str, Any]) -> Iterator[Field]:
    for one in record["fields"]:
        personal = one.get("personal")
        default = json.dumps(one["default"], ensure_ascii=False) if "default" in one else None
        sealed = (personal["of"], personal["kind"]) if personal else None
        path = before + one["name"]
        words = _words(one["type"], named)
        yield Field(path, f"sealed {words}" if sealed else words, one["doc"], sealed, one.get("code"), default)
        inner, steps = _record_in(one["type"], named)
        if inner is not None:
            yield from _fields(inner, f"{path}{steps}.", named)


def _words(avro: Any, named: dict[str, Any]) -> str:
    """Return a type in words, and remember types that have a name."""
    if isinstance(avro, str):
        return _words(named[avro], named) if avro in named else _WORDS[avro]
    if isinstance(avro, list):
        return f"{_words(avro[1], named)}, or nothing"
    if avro["type"] == "array":
        return f"list of: {_words(avro['items'], named)}"
    named[avro["name"]] = avro
    if avro["type"] == "fixed":
        return f"{avro['size']} bytes ({avro['name']})"
    return f"one of {', '.join(avro['symbols'])}" if avro["type"] == "enum" else f"record {avro['name']}"


def _record_in(avro: Any, named: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the record that a field holds, if it holds one, and what stands behind its name in a path."""
    if isinstance(avro, str):
        return _record_in(named[avro], named) if avro in named else (None, "")
    if isinstance(avro, list):
        return _record_in(avro[1], named)
    if avro["type"] == "array":
        inner, steps = _record_in(avro["items"], named)
        return inner, f"[]{steps}"
    return (avro, "") if avro["type"] == "record" else (None, "")


def kept_for(topic: Topic) -> str:
    """Return how long records of a topic are kept, in words."""
    return "without end" if topic.retention_ms < 0 else f"{topic.retention_ms // _DAY_MS:,} days"

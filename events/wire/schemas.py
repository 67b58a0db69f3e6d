"""The schemas as this program reads them: files, ids and topics of the folder `schemas/`, the public contract.

Knows the layout of that folder and which class each file speaks of; must not know how records are encoded or sent. The lock (`lock.json`)
gives every version of every subject its id; ids are ours, from 900,000,001 up, and none is ever given to another schema. A schema that
lies under two subjects has one id, as a registry would have it. `schema_lock` writes the lock; here it is only read.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import fastavro
import fastavro.schema

from events.catalogue import EVENT_TYPES, EventType
from events.envelope import Event
from events.wire.bad_schemas import BadSchemas
from events.wire.compatibility import WORDS

FOLDER = Path(__file__).parents[2] / "schemas"
LOCK = "lock.json"
TOPICS = "topics.toml"
FIRST_ID = 900_000_001
_VERSION = re.compile(r"\.v([1-9][0-9]*)\.avsc$")


@dataclass(frozen=True, slots=True)
class Locked:
    """What the lock holds of one version of one subject."""

    id: int
    fingerprint: str
    released: str | None = None
    """Tag of the release that froze it; None before there was one."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Every id ever given that still has a schema."""

    last_id: int
    """The highest id ever given: one whose version was withdrawn is not given again, so its records stay unknown and are never misread."""
    subjects: Mapping[str, Mapping[int, Locked]]
    """Subject → version → what is locked."""


@dataclass(frozen=True, slots=True)
class WriterSchema:
    """One version of one event's schema, as records name it by its id."""

    id: int
    version: int
    event: type[Event]
    subjects: tuple[str, ...]
    path: Path
    schema: dict[str, Any]
    """The file, parsed as JSON: names as they stand there, not resolved."""

    @property
    def full_name(self) -> str:
        """Full name of the record, the same for every version."""
        return full_name(self.schema)


@dataclass(frozen=True, slots=True)
class Schemas:
    """All locked schemas."""

    by_id: Mapping[int, WriterSchema]
    latest: Mapping[str, int]
    """Subject → id of its highest version."""

    def latest_id(self, event_class: type[Event], topic: str) -> int:
        """Return the id that a new record of `event_class` on `topic` names; KeyError if it has no business there."""
        return self.latest[subject(topic, _type_of(event_class))]

    def latest_of(self, event_class: type[Event]) -> WriterSchema:
        """Return the newest schema of `event_class`: what this program reads every version as."""
        return self.by_id[self.latest_id(event_class, _type_of(event_class).topics[0])]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as `topics.toml` wants it."""

    name: str
    owner: str
    holds: str
    key: str
    meaning: str
    order: str
    """What orders the records, in words."""
    guarantees: tuple[str, ...]
    """What readers may rely on, in words, beside what holds for every topic."""
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    families: tuple[str, ...]
    partitions: int
    retention_ms: int
    """-1: without end."""
    cleanup: str


@cache
def _types() -> Mapping[type[Event], EventType]:
    return {kind.event: kind for kind in EVENT_TYPES}


def _type_of(event_class: type[Event]) -> EventType:
    return _types()[event_class]


def snake(name: str) -> str:
    """`TicketTaken` → `ticket_taken`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def subject(topic: str, kind: EventType) -> str:
    """Subject by the TopicRecordNameStrategy."""
    return f"{topic}-{kind.record_name}"


def full_name(schema: Mapping[str, Any]) -> str:
    """Namespace and name of a record as its file says them."""
    return f"{schema['namespace']}.{schema['name']}"


def fingerprint(schema: object) -> str:
    """SHA-256 over all that bears on decoding: everything but `doc` and our tags, defaults and order of fields included.

    Avro's parsing canonical form leaves defaults and logical types out, although a reader's answer depends on them; here they count.
    """
    plain = json.dumps(_without_words(schema), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _without_words(part: object) -> object:
    if isinstance(part, dict):
        return {key: value if key == "default" else _without_words(value) for key, value in part.items() if key not in WORDS}
    return [_without_words(one) for one in part] if isinstance(part, list) else part


def files_of(kind: EventType, folder: Path = FOLDER) -> dict[int, Path]:
    """Version → file of one event type, lowest version first."""
    found: dict[int, Path] = {}
    for path in folder.joinpath(kind.folder).glob(f"{snake(kind.event.__name__)}.v*.avsc"):
        if numbered := _VERSION.search(path.name):
            found[int(numbered[1])] = path
    return dict(sorted(found.items()))


def read_schema(path: Path) -> dict[str, Any]:
    """Return the schema in `path`, parsed as JSON: a record in a namespace, that Avro can read. BadSchemas if there is none."""
    try:
        schema = json.loads(path.read_text("utf-8"))
        if flaw := next(_flaws(schema, ""), None):
            raise ValueError(flaw)
        if not isinstance(schema, dict) or schema["type"] != "record" or not isinstance(schema.get("namespace"), str):
            raise ValueError("a record in a namespace is wanted")
        fastavro.parse_schema(schema)
    except (ValueError, KeyError, TypeError, RecursionError, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as wrong:
        raise BadSchemas(f"{path.name}: no Avro schema: {wrong}") from wrong
    return schema


def _flaws(avro: Any, path: str) -> Iterator[str]:
    """Yield where `avro` lacks what makes it a type, which Avro's library takes or fails at without a word."""
    if isinstance(avro, list) and avro:
        for one in avro:
            yield from _flaws(one, path)
    elif isinstance(avro, dict) and isinstance(avro.get("type"), str):
        yield from _flaws_of(avro, path)
    elif not isinstance(avro, str):
        yield f"{path or 'the file'}: a type is a name, a list of types, or an object with a `type` that is a name"


def _flaws_of(avro: dict[str, Any], path: str) -> Iterator[str]:
    needed = _PARTS.get(avro["type"], {})
    for name, kind in needed.items():
        if name not in avro or not isinstance(avro[name], kind):
            yield f"{path or 'the file'}: {avro['type']} needs {name}, {_IN_WORDS[kind]}"
            return
    for name in {"items", "values"} & needed.keys():
        yield from _flaws(avro[name], path)
    for one in avro["fields"] if "fields" in needed else ():
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or "type" not in one:
            yield f"{path or 'the file'}: a field is an object with name and type"
            return
        yield from _flaws(one["type"], f"{path}.{one['name']}".lstrip("."))


_PARTS: Mapping[str, Mapping[str, type]] = {
    "record": {"name": str, "fields": list},
    "enum": {"name": str, "symbols": list},
    "fixed": {"name": str, "size": int},
    "array": {"items": object},
    "map": {"values": object},
}
_IN_WORDS: Mapping[type, str] = {str: "a text", list: "a list", int: "a whole number", object: "a type"}


def read_lock(folder: Path = FOLDER) -> Lock:
    """Return what is locked, nothing where there is no lock yet. BadSchemas if the file is none, or contradicts itself."""
    path = folder / LOCK
    if not path.exists():
        return Lock(FIRST_ID - 1, {})
    try:
        said = json.loads(path.read_text("utf-8"))
        subjects = {
            name: {int(version): Locked(**entry) for version, entry in versions.items()} for name, versions in said["subjects"].items()
        }
        lock = Lock(said["last_id"], subjects)
        if problems := list(_contradictions(lock)):
            raise BadSchemas(f"{LOCK}: {'; '.join(problems)}")
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise BadSchemas(f"{LOCK} is no lock: {type(wrong).__name__} {wrong}") from wrong
    return lock


def _contradictions(lock: Lock) -> Iterator[str]:
    """Yield where an id is two schemas', or none that `last_id` allows, as a bad merge leaves it. TypeError for what is no id."""
    owners: dict[int, tuple[str, int, str]] = {}
    for name, versions in lock.subjects.items():
        for number, entry in versions.items():
            if not {type(entry.id), type(lock.last_id)} <= {int} or not isinstance(entry.fingerprint, str):
                raise TypeError(f"{name} version {number}: an id and last_id are whole numbers, a fingerprint is text")
            this = name.rpartition("-")[2], number, entry.fingerprint
            owner = owners.setdefault(entry.id, this)
            if owner != this:
                yield (
                    f"{name} version {number}: id {entry.id} belongs to another schema, {owner[0]} version {owner[1]}; "
                    "take out the entry that no release has, and `hotline schemas lock` gives it another"
                )
    if owners and min(owners) < FIRST_ID:
        yield f"id {min(owners)} is not ours, ours begin at {FIRST_ID}"
    if owners and max(owners) > lock.last_id:
        yield f"last_id is {lock.last_id}, but {max(owners)} is given: it must be the highest id ever given, or one is given twice"


def why_not_as_locked(path: Path, entry: Locked, schema: object) -> str | None:
    """Return what is wrong when the schema in `path` is not what `entry` holds, and what to do; None if it is the same."""
    if entry.fingerprint == fingerprint(schema):
        return None
    if entry.released:
        return f"{path.name} was released with {entry.released} and is frozen: restore it, and make a new version instead of editing it"
    return f"{path.name} is not what {LOCK} holds; it is not released, so `hotline schemas lock` gives what it is now an id of its own"


@cache
def load(folder: Path = FOLDER) -> Schemas:
    """Read every locked schema. BadSchemas if a file is missing, not locked, or no longer what was locked."""
    lock = read_lock(folder)
    by_id: dict[int, WriterSchema] = {}
    latest: dict[str, int] = {}
    for kind in EVENT_TYPES:
        for version, path in files_of(kind, folder).items():
            one = _locked(kind, version, path, lock)
            by_id[one.id] = one
            latest |= dict.fromkeys(one.subjects, one.id)
        if missing := [name for topic in kind.topics if (name := subject(topic, kind)) not in latest]:
            raise BadSchemas(f"no schema file for {', '.join(missing)}")
    return Schemas(by_id, latest)


def _locked(kind: EventType, version: int, path: Path, lock: Lock) -> WriterSchema:
    schema = read_schema(path)
    subjects = tuple(subject(topic, kind) for topic in kind.topics)
    entries = [lock.subjects.get(name, {}).get(version) for name in subjects]
    entry = entries[0]
    if entry is None or any(other != entry for other in entries):
        raise BadSchemas(f"{path.name} is not in {LOCK}: hotline schemas lock")
    if wrong := why_not_as_locked(path, entry, schema):
        raise BadSchemas(wrong)
    return WriterSchema(entry.id, version, kind.event, subjects, path, schema)


@cache
def topics(folder: Path = FOLDER) -> Mapping[str, Topic]:
    """Return topic name → what `topics.toml` says of it. BadSchemas with topic, field and rule where the file breaks one."""
    wanted = _topics_file(folder)["topics"]
    if problems := [f"{name}: {flaw}" for name, entry in wanted.items() for flaw in _flaws_of_topic(entry)]:
        raise BadSchemas(f"{TOPICS}: {'; '.join(problems)}")
    return {name: Topic(name, **{key: _frozen(value) for key, value in entry.items()}) for name, entry in wanted.items()}


def guarantees(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return what `topics.toml` says of every topic. BadSchemas."""
    return tuple(_topics_file(folder)["guarantees"])


def _topics_file(folder: Path) -> dict[str, Any]:
    try:
        told = tomllib.loads((folder / TOPICS).read_text("utf-8"))
    except (OSError, ValueError) as wrong:
        raise BadSchemas(f"{TOPICS}: {wrong}") from wrong
    if told.keys() != {"guarantees", "topics"} or not isinstance(told["topics"], dict) or not _is_texts(told["guarantees"]):
        raise BadSchemas(f"{TOPICS}: a list of texts `guarantees` and a table `topics` are wanted, nothing else")
    return told


def _flaws_of_topic(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "a table is wanted"
        return
    wanted = {name: kind for name, kind in get_type_hints(Topic).items() if name != "name"}
    yield from (f"{name} is nothing that a topic has" for name in entry if name not in wanted)
    for name, kind in wanted.items():
        rule, holds = _RULES.get(name) or _RULES[kind]
        if name not in entry:
            yield f"{name} is missing"
        elif not holds(entry[name]):
            yield f"{name} must be {rule}"


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_RULES: Mapping[object, tuple[str, Callable[[Any], bool]]] = {
    str: ("a text", lambda value: isinstance(value, str)),
    tuple[str, ...]: ("a list of texts", _is_texts),
    "partitions": ("a whole number from 1", lambda value: type(value) is int and value >= 1),
    "retention_ms": ("a whole number from 1, or -1", lambda value: type(value) is int and (value >= 1 or value == -1)),
}
"""What a field of a topic must be, by its name or its type."""


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

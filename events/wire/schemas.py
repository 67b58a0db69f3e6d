"""The schemas as this program reads them: files, ids and topics of the folder `schemas/`, the public contract.

Knows the layout of that folder and which class each file speaks of; must not know how records are encoded or sent. The lock (`lock.json`)
gives every version of every subject its id; ids are ours, from 900,000,001 up, and none is ever given to another schema. A schema that
lies under two subjects has one id, as a registry would have it. `schema_lock` writes the lock; here it is only read.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from events.catalogue import EVENT_TYPES, EventType
from events.envelope import Event
from events.wire.compatibility import WORDS

FOLDER = Path(__file__).parents[2] / "schemas"
LOCK = "lock.json"
FIRST_ID = 900_000_001
_VERSION = re.compile(r"\.v([1-9][0-9]*)\.avsc$")


class BadSchemas(Exception):
    """The folder of schemas contradicts itself; `hotline schemas check` tells everything that is wrong."""


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


def read_lock(folder: Path = FOLDER) -> Lock:
    """Return what is locked, nothing where there is no lock yet. BadSchemas if the file is none."""
    path = folder / LOCK
    if not path.exists():
        return Lock(FIRST_ID - 1, {})
    try:
        said = json.loads(path.read_text("utf-8"))
        subjects = {
            name: {int(version): Locked(**entry) for version, entry in versions.items()} for name, versions in said["subjects"].items()
        }
        return Lock(int(said["last_id"]), subjects)
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise BadSchemas(f"{LOCK} is no lock: {type(wrong).__name__} {wrong}") from wrong


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
    schema = json.loads(path.read_text("utf-8"))
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
    """Return topic name → what `topics.toml` says of it. BadSchemas if an entry lacks something or says too much."""
    wanted: dict[str, dict[str, Any]] = tomllib.loads((folder / "topics.toml").read_text("utf-8"))["topics"]
    try:
        return {name: Topic(**{"name": name, **{key: _frozen(value) for key, value in entry.items()}}) for name, entry in wanted.items()}
    except TypeError as wrong:
        raise BadSchemas(f"topics.toml: {wrong}") from wrong


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""The schemas as this program reads them: files, ids and topics of the folder `schemas/`, the public contract.

Knows the layout of that folder and which class each file speaks of; must not know how records are encoded or sent. The lock (`lock.json`)
gives every version of every subject its id for ever; ids are ours, from 900,000,001 up, and are never given to another schema. A
schema that lies under two subjects has one id, as a registry would have it.
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

FOLDER = Path(__file__).parents[2] / "schemas"
LOCK = "lock.json"
FIRST_ID = 900_000_001
_WORDS = frozenset({"doc", "personal", "code"})
_VERSION = re.compile(r"\.v([1-9][0-9]*)\.avsc$")


class BadSchemas(Exception):
    """The folder of schemas contradicts itself; `hotline schemas check` tells everything that is wrong."""


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
    written_by: tuple[str, ...]
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
        return {key: value if key == "default" else _without_words(value) for key, value in part.items() if key not in _WORDS}
    return [_without_words(one) for one in part] if isinstance(part, list) else part


def files_of(kind: EventType, folder: Path = FOLDER) -> dict[int, Path]:
    """Version → file of one event type, lowest version first."""
    found: dict[int, Path] = {}
    for path in folder.joinpath(kind.folder).glob(f"{snake(kind.event.__name__)}.v*.avsc"):
        if numbered := _VERSION.search(path.name):
            found[int(numbered[1])] = path
    return dict(sorted(found.items()))


def read_lock(folder: Path = FOLDER) -> dict[str, dict[str, dict[str, Any]]]:
    """Return subject → version → `{"id", "fingerprint"}`; empty where there is no lock yet."""
    path = folder / LOCK
    lock: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return lock


def extend_lock(folder: Path = FOLDER, *, write: bool = True) -> list[str]:
    """Give an id to every version of every subject that has none, in the order of the catalogue; what is locked stays as it is.

    Returns what was added, one line each; with `write` false it only says so.
    """
    lock, added = read_lock(folder), []
    next_id = max((entry["id"] for versions in lock.values() for entry in versions.values()), default=FIRST_ID - 1) + 1
    for kind in EVENT_TYPES:
        for version, path in files_of(kind, folder).items():
            under = [lock.setdefault(subject(topic, kind), {}) for topic in kind.topics]
            known = next((versions[str(version)] for versions in under if str(version) in versions), None)
            entry = known or {"id": next_id, "fingerprint": fingerprint(json.loads(path.read_text("utf-8")))}
            next_id += known is None
            for topic, versions in zip(kind.topics, under, strict=True):
                if str(version) not in versions:
                    versions[str(version)] = entry
                    added.append(f"{subject(topic, kind)} version {version}: id {entry['id']}")
    if added and write:
        (folder / LOCK).write_text(json.dumps(lock, indent=2) + "\n", "utf-8")
    return added


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


def _locked(kind: EventType, version: int, path: Path, lock: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> WriterSchema:
    schema = json.loads(path.read_text("utf-8"))
    subjects = tuple(subject(topic, kind) for topic in kind.topics)
    entries = [lock.get(name, {}).get(str(version)) for name in subjects]
    entry = entries[0]
    if entry is None or any(other != entry for other in entries):
        raise BadSchemas(f"{path.name} is not in {LOCK}: hotline schemas lock")
    if entry["fingerprint"] != fingerprint(schema):
        raise BadSchemas(f"{path.name} is not what {LOCK} holds: make a new version instead of editing a locked one")
    return WriterSchema(entry["id"], version, kind.event, subjects, path, schema)


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

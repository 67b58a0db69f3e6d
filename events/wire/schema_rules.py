"""What must hold for the folder of schemas, each rule a small function that yields what is wrong in words.

Knows the catalogue, the classes and the rules for public schemas; must not know topics' servers or registries. Runs in `hotline schemas
check` and in the tests, so that an untagged field, an edited schema or a forgotten example fails the build.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from events.catalogue import EVENT_TYPES, EventType
from events.envelope import Command, Decision, Event, Fact
from events.wire.bad_schemas import BadSchemas
from events.wire.compatibility import Break, breaks, impossible_defaults
from events.wire.decoders import EARLIEST_US, LATEST_US, Avro
from events.wire.schema_examples import example_path, example_problems, golden_path, golden_problems
from events.wire.schemas import FOLDER, LOCK, TOPICS, Lock, files_of, full_name, read_lock, read_schema, subject, topics, why_not_as_locked

UNKNOWN = "unknown"
PEOPLE = frozenset({"citizen", "operator", "third person"})
CATEGORIES = frozenset({"name", "contact", "identifier", "document", "link", "free text"})
CODES = frozenset({
    "actor", "channel", "command word", "country", "date", "idempotency key", "language", "media type", "our own words", "process name",
    "record key", "register", "rule", "ticket number", "topic name",
})  # fmt: skip
"""What text in clear may be: never anything that a person said or is called."""
FIXED_BYTES = {"hotline.Id": 16, "hotline.Digest": 32}
_ENVELOPES = (Fact, Command, Decision, Event)
_ENVELOPE_TYPES: dict[str, Avro] = {
    **dict.fromkeys(("event_id", "contact_id", "body_digest", "cause_id"), "hotline.Id"),
    **dict.fromkeys(("occurred_at", "received_at", "recorded_at", "era"), "long"),
    **dict.fromkeys(("occurred_offset_min", "version", "cycle", "cause_ordinal", "cause_count", "reference_version"), "int"),
    **dict.fromkeys(("channel", "actor", "target", "name", "idempotency_key", "number"), "string"),
    "expected_version": ["null", "int"],
}
_PLAIN = {"string": str, "bytes": bytes, "int": int, "long": int, "boolean": bool}
_OTHER_FILES = frozenset({LOCK, TOPICS, "README.md"})


@dataclass(frozen=True, slots=True)
class _Version:
    """One schema file, read."""

    kind: EventType
    number: int
    path: Path
    schema: dict[str, Any]


def check(folder: Path = FOLDER) -> list[str]:
    """Return everything wrong with the schemas in `folder`, one line each."""
    found: list[str] = []
    versions: list[_Version] = []
    for kind in EVENT_TYPES:
        files = files_of(kind, folder)
        if list(files) != list(range(1, len(files) + 1)) or not files:
            found.append(f"{kind.record_name}: versions must be 1, 2, 3 …, found {list(files)}")
        for number, path in files.items():
            try:
                versions.append(_Version(kind, number, path, read_schema(path)))
            except BadSchemas as wrong:
                found.append(str(wrong))
    for version in versions:
        found += (f"{version.path.name}: {wrong}" for wrong in _version_problems(version))
    found += _class_problems(versions)
    found += _compatibility_problems(versions)
    try:
        lock = read_lock(folder)
    except BadSchemas as wrong:
        found.append(str(wrong))
    else:
        found += _lock_problems(versions, lock)
    if not found:  # examples need schemas that can be read
        found += _recorded_problems(folder, versions, lock)
    return [*found, *_topic_problems(folder), *_orphans(folder)]


def _recorded_problems(folder: Path, versions: list[_Version], lock: Lock) -> Iterator[str]:
    for version in versions:
        newest = [one for one in versions if one.kind is version.kind][-1]
        problems = list(example_problems(folder, version.kind, version.number, version.schema, newest.schema))
        entry = lock.subjects[subject(version.kind.topics[0], version.kind)][version.number]
        yield from problems or golden_problems(folder, version.kind, version.number, version.schema, entry)


def _version_problems(version: _Version) -> Iterator[str]:
    if full_name(version.schema) != version.kind.record_name:
        yield f"must be a record called {version.kind.record_name}"
        return
    yield from _record_problems(version.schema, set())
    envelope = [one.name for one in fields(_envelope_of(version.kind.event))]
    first = version.schema["fields"][: len(envelope)]
    if [one["name"] for one in first] != envelope:
        yield f"must begin with the envelope: {', '.join(envelope)}"
    for one in first:
        if _type_name(one["type"]) != _ENVELOPE_TYPES.get(one["name"]):
            yield f"{one['name']}: must be {_ENVELOPE_TYPES.get(one['name'])} as in every envelope"


def _envelope_of(event: type[Event]) -> type[Event]:
    return next(envelope for envelope in _ENVELOPES if issubclass(event, envelope))


def _type_name(avro: Avro) -> Avro:
    return avro["name"] if isinstance(avro, dict) and "name" in avro else avro


def _record_problems(record: Mapping[str, Any], defined: set[str]) -> Iterator[str]:
    if not record.get("doc"):
        yield f"{record['name']} has no doc"
    for one in record["fields"]:
        if not one.get("doc"):
            yield f"{one['name']} has no doc"
        yield from (f"{one['name']}: {wrong}" for wrong in _tag_problems(one, _plain_type(one["type"])))
        yield from (f"{one['name']}: {wrong}" for wrong in _type_problems(one["type"], defined))
        if isinstance(one["type"], list) and ("default" not in one or one["default"] is not None):
            yield f"{one['name']}: a union needs the default null"
        yield from (f"{one['name']}: {wrong}" for wrong in _default_problems(one))


def _default_problems(one: Mapping[str, Any]) -> Iterator[str]:
    if "aliases" in one:
        yield "a name is for ever and has no alias; not every reader follows one"
    if isinstance(one.get("default"), list) and one["default"]:
        yield "an array is empty by default"
    if one["name"].endswith("_at") and isinstance(one.get("default"), int) and not EARLIEST_US <= one["default"] <= LATEST_US:
        yield "its default is no time; a time that nobody wrote is null"


def _plain_type(avro: Avro) -> Avro:
    """Return what a field holds, looked at through null unions and arrays."""
    if isinstance(avro, list):
        return _plain_type(avro[-1])
    return _plain_type(avro["items"]) if isinstance(avro, dict) and avro["type"] == "array" else avro


def _tag_problems(one: Mapping[str, Any], plain: Avro) -> Iterator[str]:
    personal, code = one.get("personal"), one.get("code")
    if plain in ("bytes", "string") and personal is None and code is None:
        yield "needs a tag: `personal` (whose and which category) or `code` (why it is about nobody)"
    if code is not None and (plain != "string" or not _is_word(code, CODES) or personal is not None):
        yield f"`code` stands at text in clear and is one of: {', '.join(sorted(CODES))}"
    if personal is None:
        return
    if plain != "bytes":
        yield "what is personal is sealed, so its type is bytes"
    told = personal if isinstance(personal, dict) else {}
    if told.keys() != {"of", "kind"} or not _is_word(told["of"], PEOPLE) or not _is_word(told["kind"], CATEGORIES):
        yield f"`personal` says `of` ({', '.join(sorted(PEOPLE))}) and `kind` ({', '.join(sorted(CATEGORIES))})"


def _is_word(said: object, words: frozenset[str]) -> bool:
    return isinstance(said, str) and said in words


def _type_problems(avro: Avro, defined: set[str]) -> Iterator[str]:
    if isinstance(avro, list):
        if len(avro) != 2 or avro[0] != "null":  # noqa: PLR2004
            yield "a union is null and one type, in this order"
        yield from _type_problems(avro[-1], defined)
    elif isinstance(avro, str):
        if avro not in _PLAIN and avro not in defined:
            yield f"no type {avro} before this place"
    elif avro["type"] == "fixed":
        defined.add(avro["name"])
        if FIXED_BYTES.get(avro["name"]) != avro["size"]:
            yield f"a fixed is one of {FIXED_BYTES}"
    elif avro["type"] == "enum":
        if avro["symbols"][:1] != [UNKNOWN] or avro.get("default") != UNKNOWN:
            yield f"an enum has `{UNKNOWN}` as its first symbol and its default"
    elif avro["type"] == "array":
        yield from _type_problems(avro["items"], defined)
    elif avro["type"] == "record":
        yield from _record_problems(avro, defined)
    else:
        yield f"no events are made of {avro['type']}"


def _class_problems(versions: list[_Version]) -> Iterator[str]:
    """Compare the newest version of each event with its class: the same fields in the same order, of fitting types."""
    newest = {version.kind.event: version for version in versions}
    for event, version in newest.items():
        if "fields" in version.schema:
            yield from (f"{version.path.name}: {wrong}" for wrong in _fields_problems(event, version.schema["fields"]))


def _fields_problems(kind: type, avro_fields: list[dict[str, Any]]) -> Iterator[str]:
    names = [one.name for one in fields(kind)]
    if [one["name"] for one in avro_fields] != names:
        yield f"fields differ from the class {kind.__name__} or stand in another order"
        return
    hints = get_type_hints(kind)
    for one in avro_fields:
        if not _fits(hints[one["name"]], one["type"]):
            yield f"{one['name']}: the class says {hints[one['name']]}, the schema {json.dumps(one['type'])}"


def _fits(hint: Any, avro: Avro) -> bool:
    nullable = isinstance(hint, UnionType)
    if nullable != isinstance(avro, list):
        return False
    if nullable:
        return _fits(next(one for one in get_args(hint) if one is not type(None)), avro[-1])  # type: ignore[index]
    if isinstance(avro, dict) and avro["type"] == "array":
        return get_origin(hint) is tuple and _fits(get_args(hint)[0], avro["items"])
    if isinstance(avro, dict) and avro["type"] == "record":
        return is_dataclass(hint) and not list(_fields_problems(hint, avro["fields"]))  # type: ignore[arg-type]
    if isinstance(avro, dict):
        return hint is {"fixed": bytes, "enum": str}.get(avro["type"])
    return hint is (bytes if avro in FIXED_BYTES else _PLAIN.get(avro if isinstance(avro, str) else ""))


def _compatibility_problems(versions: list[_Version]) -> Iterator[str]:
    """Every version must read every other and be read by it (FULL_TRANSITIVE); what breaks is told once, with all versions it breaks."""
    for new in versions:
        own = impossible_defaults(new.schema)
        yield from (f"{new.path.name}: {one}" for one in own)
        against: dict[Break, list[int]] = {}
        for old in (one for one in versions if one.kind is new.kind and one.number < new.number):
            for one in breaks(old.schema, new.schema):
                against.setdefault(one, []).append(old.number)
        for one, numbers in against.items():
            if one not in own:
                yield f"{new.path.name}: {one} (against version {', '.join(map(str, numbers))})"


def _lock_problems(versions: list[_Version], lock: Lock) -> Iterator[str]:
    locked = {(name, number): entry for name, entries in lock.subjects.items() for number, entry in entries.items()}
    for version in versions:
        for topic in version.kind.topics:
            name = subject(topic, version.kind)
            entry = locked.pop((name, version.number), None)
            if entry is None:
                yield f"{name} version {version.number} is not in {LOCK}: hotline schemas lock"
                continue
            if wrong := why_not_as_locked(version.path, entry, version.schema):
                yield wrong
    for (name, number), entry in sorted(locked.items()):
        remedy = f"it was released with {entry.released}: restore it" if entry.released else "hotline schemas lock withdraws it"
        yield f"{LOCK}: {name} version {number} has no file; {remedy}"


def _topic_problems(folder: Path) -> Iterator[str]:
    try:
        wanted = topics.__wrapped__(folder)
    except BadSchemas as wrong:
        yield str(wrong)
        return
    used = {(topic, kind.folder) for kind in EVENT_TYPES for topic in kind.topics}
    said = {(name, family) for name, topic in wanted.items() for family in topic.families}
    yield from (f"{TOPICS}: {topic} must name the family {family}" for topic, family in sorted(used - said))
    yield from (f"{TOPICS}: {topic} has no events of the family {family}" for topic, family in sorted(said - used))
    for topic in wanted.values():
        if missing := [one.name for one in fields(topic) if not getattr(topic, one.name)]:
            yield f"{TOPICS}: {topic.name} needs {', '.join(missing)}"
        if topic.cleanup != "delete":
            yield f"{TOPICS}: {topic.name} is never compacted"


def _orphans(folder: Path) -> Iterator[str]:
    expected = {folder / name for name in _OTHER_FILES}
    for kind in EVENT_TYPES:
        for number, path in files_of(kind, folder).items():
            expected |= {path, example_path(folder, kind, number), golden_path(folder, kind, number)}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in expected:
            yield f"{path.relative_to(folder)} belongs to nothing in the catalogue"

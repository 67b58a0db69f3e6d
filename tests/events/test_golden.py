"""Records of every version are read for ever: by our decoders, by a stranger, by later programs; by earlier ones what they know of."""

import copy
import io
import json
import shutil
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import fastavro
import pytest

from events.catalogue import EVENT_TYPES, EventType
from events.letters import LetterReceived
from events.tickets import TicketRefused
from events.wire.codec import Codec, UnknownSchema, load_codec
from events.wire.compatibility import breaks
from events.wire.decoders import compile_decoder
from events.wire.schema_examples import example_path, golden_path, read_example
from events.wire.schema_lock import lock_schemas
from events.wire.schema_rules import check
from events.wire.schemas import FOLDER, files_of, load
from tests import stranger
from tests.events.an_event import KINDS, as_record, example

_VERSIONS = [(kind, number) for kind in EVENT_TYPES for number in files_of(kind)]


def _golden(name: str, version: int = 1, folder: Path = FOLDER) -> bytes:
    return bytes.fromhex(golden_path(folder, KINDS[name], version).read_text("ascii"))


@pytest.mark.parametrize(("kind", "version"), _VERSIONS, ids=[f"{kind.event.__name__}.v{number}" for kind, number in _VERSIONS])
def test_the_golden_record_of_every_version_is_read_by_us_and_by_a_stranger_as_its_example(kind: EventType, version: int) -> None:
    value = _golden(kind.event.__name__, version)
    said = read_example(example_path(FOLDER, kind, version), json.loads(files_of(kind)[version].read_text("utf-8")))

    ours, theirs = as_record(load_codec().decode(value)), stranger.decode(value)

    assert theirs == said
    assert {name: said.get(name, value) for name, value in ours.items()} == ours


def _schema(event: type[Any]) -> dict[str, Any]:
    return copy.deepcopy(load().latest_of(event).schema)


def _put(schema: dict[str, Any], place: int, **said: Any) -> None:
    schema["fields"].insert(place, {"doc": "x", **said})


def _class_of(event: type[Any], schema: dict[str, Any], **new: Any) -> type[Any]:
    """The class that a later program has for `schema`; `new` gives the types of fields that today's class does not have."""
    hints = {**get_type_hints(event), **new}
    made: type[Any] = make_dataclass(
        event.__name__, [(one["name"], hints[one["name"]], field()) for one in schema["fields"]], frozen=True, slots=True, kw_only=True
    )
    return made


_MOOD = {"type": "enum", "name": "Mood", "symbols": ["unknown", "calm"], "default": "unknown"}
_NEW: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "a number": ({"type": "int", "default": 7}, int, 7),
    "a text": ({"type": "string", "default": "ru"}, str, "ru"),
    "a truth value": ({"type": "boolean", "default": True}, bool, True),
    "bytes": ({"type": "bytes", "default": "\u00ff\u0000"}, bytes, b"\xff\0"),
    "an id": ({"type": "hotline.Id", "default": "\u0001" * 16}, bytes, b"\1" * 16),
    "something or nothing": ({"type": ["null", "bytes"], "default": None}, bytes | None, None),
    "several": ({"type": {"type": "array", "items": "string"}, "default": []}, tuple[str, ...], ()),
    "a word": ({"type": _MOOD, "default": "calm"}, str, "calm"),
}


@pytest.mark.parametrize("case", _NEW)
def test_a_record_of_today_is_read_by_a_later_program_with_the_default_of_what_it_lacks(case: str) -> None:
    said, hint, default = _NEW[case]
    today, later = _schema(TicketRefused), _schema(TicketRefused)
    _put(later, 14, name="mood", **said)
    event = _class_of(TicketRefused, later, mood=hint)
    assert breaks(today, later) == []

    read: Any = compile_decoder(today, later, event)(_golden("TicketRefused"))

    assert type(read) is event
    assert read.mood == default
    assert type(read.mood) is type(default)
    assert {one.name: getattr(read, one.name) for one in fields(TicketRefused)} == as_record(example("TicketRefused"))
    assert _as_fastavro_reads(_golden("TicketRefused")[5:], today, later).keys() == {one.name for one in fields(event)}


@pytest.mark.parametrize("case", _NEW)
def test_a_record_of_a_later_program_is_read_by_one_of_today_over_what_it_does_not_know(case: str) -> None:
    said, _, _ = _NEW[case]
    today, later = _schema(TicketRefused), _schema(TicketRefused)
    _put(later, 14, name="mood", **said)
    body = _written({**as_record(example("TicketRefused")), "mood": _LATER[case]}, later)

    read = compile_decoder(later, today, TicketRefused)(b"\0" * 5 + body)

    assert read == example("TicketRefused")
    assert _as_fastavro_reads(body, later, today) == as_record(read)


_LATER: dict[str, Any] = {
    **{"a number": -300, "a text": "хәл", "a truth value": False, "bytes": b"later", "an id": b"l" * 16},
    **{"something or nothing": b"later", "several": ["one", "two"], "a word": "unknown"},
}


def _written(record: dict[str, Any], schema: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def _as_fastavro_reads(body: bytes, writer: dict[str, Any], reader: dict[str, Any]) -> dict[str, Any]:
    read: Any = fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(writer), fastavro.parse_schema(reader))
    assert isinstance(read, dict)
    return read


def _file_of(schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = schema["fields"][-1]["type"]["items"]
    return made


def test_a_field_that_is_new_within_an_array_takes_its_default_too() -> None:
    letter: Any = example("LetterReceived")
    today, later = _schema(LetterReceived), _schema(LetterReceived)
    _put(_file_of(later), 1, name="pages", type="int", default=1)
    file = _class_of(type(letter.attachments[0]), _file_of(later), pages=int)
    event = _class_of(LetterReceived, later, attachments=tuple[file, ...])  # type: ignore[valid-type]
    assert breaks(today, later) == []

    read: Any = compile_decoder(today, later, event)(_golden("LetterReceived"))

    assert [one.pages for one in read.attachments] == [1] * len(letter.attachments)
    assert as_record(read) == _as_fastavro_reads(_golden("LetterReceived")[5:], today, later)


def test_an_array_of_records_that_a_later_program_dropped_is_read_over() -> None:
    today, later = _schema(LetterReceived), _schema(LetterReceived)
    later["fields"].pop()
    event = _class_of(LetterReceived, later)
    assert breaks(today, later) == []

    read: Any = compile_decoder(today, later, event)(_golden("LetterReceived"))

    assert as_record(read) == _as_fastavro_reads(_golden("LetterReceived")[5:], today, later)


def test_a_second_array_of_records_of_one_kind_is_read_over_by_a_program_of_today() -> None:
    today, later = _schema(LetterReceived), _schema(LetterReceived)
    _put(later, len(later["fields"]), name="inline", type={"type": "array", "items": "hotline.StoredFile"}, default=[])
    letter = as_record(example("LetterReceived"))

    read = compile_decoder(later, today, LetterReceived)(b"\0" * 5 + _written({**letter, "inline": letter["attachments"]}, later))

    assert read == example("LetterReceived")


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The schemas of a later release: a call may also end because the caller was put through to emergency services."""
    folder = Path(shutil.copytree(FOLDER, tmp_path / "schemas"))
    second = folder / "calls/call_ended.v2.avsc"
    schema = json.loads((folder / "calls/call_ended.v1.avsc").read_text("utf-8"))
    next(one for one in schema["fields"] if one["name"] == "ending")["type"]["symbols"].append("put_through")
    second.write_text(json.dumps(schema), "utf-8")
    said = json.loads((folder / "examples/calls/call_ended.v1.json").read_text("utf-8"))
    (folder / "examples/calls/call_ended.v2.json").write_text(json.dumps(said | {"ending": "put_through"}), "utf-8")
    lock_schemas(folder)
    return folder


def test_a_later_release_reads_both_versions_and_writes_the_new_one(later: Path) -> None:
    codec = Codec(load(later))

    first: Any = codec.decode(_golden("CallEnded", 1, later))
    second: Any = codec.decode(_golden("CallEnded", 2, later))

    assert check(later) == []
    assert (first, second.ending) == (example("CallEnded"), "put_through")
    assert codec.encode(second, "test").value == _golden("CallEnded", 2, later)


def test_a_program_of_today_waits_for_the_schema_of_a_later_release_and_would_read_its_new_word_as_unknown(later: Path) -> None:
    value = _golden("CallEnded", 2, later)
    newest = json.loads((later / "calls/call_ended.v2.avsc").read_text("utf-8"))
    today = load().latest_of(KINDS["CallEnded"].event)

    with pytest.raises(UnknownSchema):
        load_codec().decode(value)
    read: Any = compile_decoder(newest, today.schema, today.event)(value)

    assert read.ending == _as_fastavro_reads(value[5:], newest, today.schema)["ending"] == "unknown"

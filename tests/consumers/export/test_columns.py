"""The flat table of a topic: its columns, and that nothing sealed gets into a row."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from consumers.export import columns
from consumers.export.columns import FLAG, MOMENT, NUMBER, PLACE_COLUMNS, TEXT, FlatTable, types_on
from events.catalogue import EVENT_TYPES, EventType
from events.envelope import COMMANDS, DEAD_LETTERS, FACTS, OUTCOMES, REFERENCE, TICKETS, Event, StoredFile
from events.wire import schemas
from events.wire.codec import UnknownSchema, load_codec
from projectors.record import Record
from tests.consumers.export import strangers
from tests.made import MORNING, made, registered, taken

TOPICS = (FACTS, COMMANDS, TICKETS, OUTCOMES, REFERENCE, DEAD_LETTERS)
CANARY = b"Kanareikin +7 999 000-00-00"
SAID = {"category": "technical", "opened_at": MORNING, "result": "decided"}


def record_of(event: Event | None, value: bytes = b"\x01", why: str = "", topic: str = TICKETS) -> Record:
    raw = value if event is None else load_codec().encode(event, "test", topic=topic).value
    return Record(topic, 3, 7, b"key", 1_741_933_700_000_000, raw, event, why)


def full(kind: EventType) -> Event:
    """Return an event with the canary in everything that its schema calls personal, attached files too."""
    fields = json.loads(next(iter(schemas.files_of(kind).values())).read_text("utf-8"))["fields"]
    said: dict[str, Any] = {one["name"]: CANARY for one in fields if "personal" in one}
    said |= {one["name"]: SAID[one["name"]] for one in fields if one["name"] in SAID}
    files = (StoredFile(digest=b"d" * 32, size_bytes=9, media_type="image/png", name=CANARY),)
    return made(kind.event, **said, **{one["name"]: files for one in fields if one["name"] in ("attachments", "evidence")})


@pytest.mark.parametrize("topic", TOPICS)
def test_row_of_every_event_says_what_a_stranger_reads_in_it_and_nothing_sealed(topic: str) -> None:
    table = FlatTable(types_on(topic))
    names = [column.name for column in table.columns]

    for kind in types_on(topic):
        record = record_of(full(kind), topic=topic)
        row = dict(zip(names, table.row_of(record), strict=True))
        assert row == strangers.expected(strangers.told(*record[:3], record.appended_at, record.raw), names)
        assert not any(form in repr(row) for form in ("Kanareikin", CANARY.hex()))


def test_every_topic_of_the_catalogue_has_a_table() -> None:
    assert {topic for kind in EVENT_TYPES for topic in kind.topics} == set(TOPICS)
    assert types_on("somebody.elses") == ()


def test_columns_say_where_a_record_lies_then_each_field_once_with_its_kind_and_meaning() -> None:
    table = {column.name: column for column in FlatTable(types_on(TICKETS)).columns}

    assert list(table)[: len(PLACE_COLUMNS)] == [column.name for column in PLACE_COLUMNS]
    assert [table[name].kind for name in ("number", "version", "recorded_at", "has_name", "cause_id")] == [TEXT, NUMBER, MOMENT, FLAG, TEXT]
    assert not {"name", "phone", "email", "text", "explanation"} & table.keys()
    assert table["queue"].docs
    assert len(table["contact_id"].docs) == 2  # what it means depends on the decision


def test_name_with_two_kinds_has_its_kind_behind_it_and_so_has_one_that_says_where_a_record_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    of_registered = [columns._Field("line", TEXT, "As a code.", "plain"), columns._Field("type", TEXT, "Its own.", "plain")]
    of_taken = [columns._Field("line", NUMBER, "As a number.", "plain")]
    monkeypatch.setattr(columns, "_fields_of", lambda _, event: of_registered if event is type(registered()) else of_taken)
    kinds = [kind for kind in EVENT_TYPES if kind.event in (type(registered()), type(taken(2)))]

    own = FlatTable(kinds).columns[len(PLACE_COLUMNS) :]

    assert [(column.name, column.kind) for column in own] == [("line_text", TEXT), ("type_text", TEXT), ("line_number", NUMBER)]


def places(topic: str) -> Iterator[str]:
    return (column.name for column in FlatTable(types_on(topic)).columns)


def test_record_that_nobody_can_read_has_its_place_and_a_reason() -> None:
    row = dict(zip(places(TICKETS), FlatTable(types_on(TICKETS)).row_of(record_of(None, why="another magic byte")), strict=True))

    assert {name: value for name, value in row.items() if value is not None} == {
        "log_topic": TICKETS,
        "log_partition": 3,
        "log_offset": 7,
        "appended_at": 1_741_933_700_000_000,
        "void": False,
        "unreadable": "another magic byte",
    }


def test_event_that_has_no_place_on_the_topic_is_as_unreadable() -> None:
    row = dict(zip(places(COMMANDS), FlatTable(types_on(COMMANDS)).row_of(record_of(taken(2))), strict=True))

    assert (row["type"], row["unreadable"]) == (None, "a TicketTaken has no place on this topic")


def test_record_of_a_newer_program_stops_the_export_instead_of_being_called_unreadable() -> None:
    newer = b"\0" + (900_000_999).to_bytes(4, "big") + b"body"

    with pytest.raises(UnknownSchema):
        FlatTable(types_on(TICKETS)).row_of(record_of(None, newer, "no schema with id 900000999"))

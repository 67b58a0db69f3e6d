"""Events become records and records events; what is no record is told apart from what is too new."""

import io
from dataclasses import asdict, replace
from typing import Any

import fastavro
import pytest

from events.catalogue import EVENT_TYPES
from events.envelope import TICKETS, Event, Fact
from events.wire.codec import Undecodable, Unencodable, UnknownSchema, load_codec
from events.wire.decoders import EARLIEST_US, LATEST_US
from events.wire.schemas import FIRST_ID, load
from tests import stranger
from tests.events.an_event import KINDS, example

CODEC = load_codec()


def _value(name: str, **said: Any) -> bytes:
    return CODEC.encode(replace(example(name), **said), "test").value


@pytest.mark.parametrize("name", KINDS)
def test_every_example_comes_back_as_it_was(name: str) -> None:
    event = example(name)

    assert CODEC.decode(CODEC.encode(event, "test").value) == event


@pytest.mark.parametrize("name", KINDS)
def test_a_stranger_with_the_files_alone_reads_every_example(name: str) -> None:
    event = example(name)
    value = CODEC.encode(event, "test").value

    read = stranger.decode(value)

    assert stranger.record_name(value) == f"hotline.{KINDS[name].folder}.{name}"
    assert {key: read[key] for key in ("event_id", "occurred_at")} == {"event_id": event.event_id, "occurred_at": event.occurred_at}


def test_a_record_says_who_what_and_where_in_its_headers_and_nothing_about_people() -> None:
    event = example("CallStarted")
    assert isinstance(event, Fact)

    record = CODEC.encode(event, "intake", traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")

    assert (record.topic, record.key) == ("hotline.contacts", event.contact_id.hex().encode())
    assert record.value[:5] == b"\0" + (900_000_001).to_bytes(4, "big")
    assert record.headers == [
        ("ce_id", event.event_id.hex().encode()),
        ("ce_type", b"hotline.calls.CallStarted"),
        ("ce_source", b"intake"),
        ("ce_specversion", b"1.0"),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]


def test_the_mark_of_an_era_goes_to_outcomes_and_to_tickets() -> None:
    event = example("EraOpened")

    assert CODEC.encode(event, "relay").topic == "hotline.outcomes"
    assert CODEC.encode(event, "relay", topic=TICKETS).topic == "hotline.tickets"


def test_an_event_is_not_encoded_for_a_topic_where_it_has_no_business() -> None:
    with pytest.raises(Unencodable, match="TicketTaken"):
        CODEC.encode(example("TicketTaken"), "relay", topic="hotline.contacts")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CallEnded", {"wait_s": 1 << 31}),
        ("CallEnded", {"wait_s": 1.5}),
        ("CallEnded", {"wait_s": True}),
        ("CallEnded", {"ending": "Ivanov hung up"}),
        ("CallEnded", {"occurred_at": 1 << 63}),
        ("CallEnded", {"event_id": b"short"}),
        ("CallEnded", {"actor": None}),
        ("CallEnded", {"actor": "\ud800"}),
        ("CallStarted", {"phone": "+7 900 Ivanov"}),
        ("CauseSettled", {"first_partition": 1 << 31}),
    ],
)
def test_a_value_outside_its_schema_is_refused_without_being_told(name: str, said: dict[str, Any]) -> None:
    with pytest.raises(Unencodable) as refused:
        CODEC.encode(replace(example(name), **said), "test")

    assert "Ivanov" not in repr(refused.value)
    assert refused.value.__context__ is None


def test_a_record_of_a_schema_deployed_after_us_is_unknown_and_not_broken() -> None:
    with pytest.raises(UnknownSchema) as unknown:
        CODEC.decode(b"\0" + (900_009_999).to_bytes(4, "big") + b"x")

    assert unknown.value.schema_id == 900_009_999


def _changed(value: bytes, old: bytes, new: bytes) -> bytes:
    assert value.count(old) == 1, "the place to change must be one"
    return value.replace(old, new)


_ENDED = _value("CallEnded", leg=5, ending="failed", wait_s=0x7F, talk_s=3, connected_at=None)
_TAIL = b"\x0a\x08\xfe\x01\x06\x00"  # leg, ending, wait_s, talk_s, connected_at
_TIME = b"\x80" * 6 + b"\x80\x01"  # the shortest time of eight bytes
_LATE = _value("CallEnded", event_id=b"e" * 16, occurred_at=1 << 48)
_LETTER = _value("LetterReceived", thread_keys=(b"k" * 16,), attachments=())
_KEYS = b"\x02" + b"k" * 16 + b"\x00\x00"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no value"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\x35\xa4\xe9", id="no room for an id"),
        pytest.param(b"\1" + _ENDED[1:], id="another magic byte"),
        pytest.param(b'{"event": "x"}', id="JSON"),
        pytest.param(_ENDED[:5], id="no body"),
        pytest.param(_ENDED + b"\0", id="something follows"),
        pytest.param(_changed(_ENDED, _TAIL, b"\x0a\x08\xfe\x81\x00\x06\x00"), id="a number longer than need be"),
        pytest.param(_changed(_ENDED, _TAIL, b"\x8a\x00\x08\xfe\x01\x06\x00"), id="a small number in two bytes"),
        pytest.param(_changed(_ENDED, b"\x0aphone", b"\x8a\x00phone"), id="a small length in two bytes"),
        pytest.param(_changed(_LATE, _TIME, b"\x80" * 7 + b"\x00"), id="a small time in eight bytes"),
        pytest.param(_changed(_ENDED, _TAIL, b"\x8a\x80\x00\x08\xfe\x01\x06\x00"), id="a small number in three bytes"),
        pytest.param(_changed(_ENDED, _TAIL, b"\xff\xff\xff\xff\x1f\x08\xfe\x01\x06\x00"), id="an int of 33 bits"),
        pytest.param(_changed(_ENDED, _TAIL, b"\xff" * 12 + b"\x01\x08\xfe\x01\x06\x00"), id="a number without end"),
        pytest.param(_changed(_ENDED, _TAIL, b"\x0a\x0a\xfe\x01\x06\x00"), id="no such symbol"),
        pytest.param(_changed(_ENDED, _TAIL, b"\x0a\x01\xfe\x01\x06\x00"), id="a negative symbol"),
        pytest.param(_changed(_ENDED, _TAIL, b"\x0a\x08\xfe\x01\x06\x04"), id="no such branch"),
        pytest.param(_changed(_ENDED, b"\x0aphone", b"\x09phone"), id="a negative length"),
        pytest.param(_changed(_ENDED, b"\x0aphone", b"\x89\x01phone"), id="a long negative length"),
        pytest.param(_changed(_ENDED, b"\x0aphone", b"\x0aph\xffne"), id="no UTF-8"),
        pytest.param(_changed(_ENDED, b"\x0aphone", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01phone"), id="a length of exabytes"),
        pytest.param(_changed(_LETTER, _KEYS, b"\xfe\xff\xff\xff\x0f" + b"k" * 16 + b"\x00\x00"), id="an array of two thousand million"),
        pytest.param(_changed(_LETTER, _KEYS, b"\x04" + b"k" * 16 + b"\x00\x00"), id="an array of one more than there is"),
        pytest.param(_changed(_LETTER, _KEYS, b"\x01\x20" + b"k" * 16 + b"\x00\x00"), id="a negative number of items"),
        pytest.param(_changed(_LETTER, _KEYS, (b"\x02" + b"k" * 16) * 2 + b"\x00\x00"), id="a second block"),
    ],
)
def test_what_is_no_record_is_undecodable_and_none_of_its_bytes_are_told(value: bytes | None) -> None:
    with pytest.raises(Undecodable) as refused:
        CODEC.decode(value)

    assert refused.value.__context__ is None
    assert "phone" not in str(refused.value)


@pytest.mark.parametrize("name", KINDS)
def test_a_record_cut_anywhere_is_undecodable(name: str) -> None:
    value = _value(name)

    for size in range(len(value)):
        with pytest.raises(Undecodable):
            CODEC.decode(value[:size])


def test_every_event_type_can_be_decoded() -> None:
    decoded: set[type[Event]] = {type(CODEC.decode(_value(name))) for name in KINDS}

    assert decoded == {kind.event for kind in EVENT_TYPES}


def _framed(event: Event) -> bytes:
    """A record as a careless stranger writes it: in the form of the schema, its values unchecked."""
    schema = load().latest_of(type(event))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema.schema), asdict(event))
    return b"\0" + schema.id.to_bytes(4, "big") + out.getvalue()


@pytest.mark.parametrize("schema_id", [0, 1, FIRST_ID - 1, FIRST_ID + 2_000_000, 2**32 - 1])
def test_a_schema_id_that_is_none_of_ours_is_not_waited_for(schema_id: int) -> None:
    with pytest.raises(Undecodable):
        load_codec().decode(b"\0" + schema_id.to_bytes(4, "big") + b"body")


@pytest.mark.parametrize("moment", [0, 1, -1, EARLIEST_US - 1, LATEST_US + 1, 2**62])
def test_a_time_that_no_calendar_holds_is_refused_both_ways(moment: int) -> None:
    event: Any = example("CallEnded")
    for name in ("occurred_at", "connected_at"):
        with pytest.raises(Unencodable):
            load_codec().encode(replace(event, **{name: moment}), "/tests")
        with pytest.raises(Undecodable):
            load_codec().decode(_framed(replace(event, **{name: moment})))


def test_a_text_with_nul_is_refused() -> None:
    event: Any = example("CallStarted")

    with pytest.raises(Undecodable):
        load_codec().decode(_framed(replace(event, line="fede\0ral")))

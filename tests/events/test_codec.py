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
from events.wire.schemas import load
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


def test_every_event_type_can_be_decoded() -> None:
    decoded: set[type[Event]] = {type(CODEC.decode(_value(name))) for name in KINDS}

    assert decoded == {kind.event for kind in EVENT_TYPES}


def _framed(event: Event) -> bytes:
    """A record as a careless stranger writes it: in the form of the schema, its values unchecked."""
    schema = load().latest_of(type(event))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema.schema), asdict(event))
    return b"\0" + schema.id.to_bytes(4, "big") + out.getvalue()


@pytest.mark.parametrize("moment", [0, 1, -1, EARLIEST_US - 1, LATEST_US + 1, 2**62])
def test_a_time_that_no_calendar_holds_is_refused_both_ways(moment: int) -> None:
    event: Any = example("CallEnded")
    for name in ("occurred_at", "connected_at"):
        with pytest.raises(Unencodable):
            load_codec().encode(replace(event, **{name: moment}), "/tests")
        with pytest.raises(Undecodable):
            load_codec().decode(_framed(replace(event, **{name: moment})))

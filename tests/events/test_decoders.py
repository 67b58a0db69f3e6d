"""Generated decoders agree with fastavro on every event, and on broken bytes they say no or what is really there."""

import copy
import io
import json
from dataclasses import FrozenInstanceError
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.tickets import TicketClosed, TicketTaken
from events.wire.codec import Undecodable, UnknownSchema, load_codec
from events.wire.decoders import NoDecoder, compile_decoder
from events.wire.schemas import load
from tests import stranger
from tests.events.an_event import KINDS, any_event, as_record, example

CODEC = load_codec()
_EXAMPLES = 60


@pytest.mark.parametrize("name", KINDS)
def test_any_event_comes_back_as_it_was_and_as_fastavro_reads_it(name: str) -> None:
    @settings(max_examples=_EXAMPLES, deadline=None)
    @given(any_event(KINDS[name]))
    def holds(event: Any) -> None:
        value = CODEC.encode(event, "test").value

        decoded = CODEC.decode(value)

        assert decoded == event
        assert type(decoded) is type(event)
        assert as_record(decoded) == stranger.decode(value)

    holds()


@pytest.mark.parametrize("name", KINDS)
def test_changed_bytes_are_refused_or_are_the_one_encoding_of_another_event(name: str) -> None:
    @settings(max_examples=_EXAMPLES, deadline=None)
    @given(any_event(KINDS[name]), st.data())
    def holds(event: Any, data: st.DataObject) -> None:
        value = bytearray(CODEC.encode(event, "test").value)
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(5, len(value) - 1))
            longer = bytes((value[place] | 128, 0))  # the same number in one byte more
            value[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3) | st.just(longer))
            value += b"\0" * (6 - len(value))

        try:
            decoded = CODEC.decode(bytes(value))
        except Undecodable:
            return

        assert CODEC.encode(decoded, "test").value == bytes(value)

    holds()


@given(st.binary(max_size=200), st.sampled_from(sorted(load().by_id)))
def test_random_bytes_are_refused_by_name(body: bytes, schema_id: int) -> None:
    for value in (body, b"\0" + schema_id.to_bytes(4, "big") + body):
        try:
            decoded = CODEC.decode(value)
        except (Undecodable, UnknownSchema):
            continue
        assert CODEC.encode(decoded, "test").value == value


def test_a_decoded_event_is_as_frozen_as_any_other() -> None:
    event: Any = CODEC.decode(CODEC.encode(example("LetterReceived"), "test").value)

    with pytest.raises(FrozenInstanceError):
        event.text = b""
    with pytest.raises(FrozenInstanceError):
        event.attachments[0].name = b""
    with pytest.raises(FrozenInstanceError):
        del event.text
    assert hash(event) == hash(example("LetterReceived"))
    assert repr(event) == repr(example("LetterReceived"))


def _schema(event: type[Any]) -> dict[str, Any]:
    return copy.deepcopy(load().latest_of(event).schema)


def _decoded(writer: dict[str, Any], event: Any, **said: Any) -> Any:
    out = io.BytesIO()
    out.write(b"\0" * 5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(writer), {**as_record(event), **said})
    return compile_decoder(writer, load().latest_of(type(event)).schema, type(event))(out.getvalue())


def test_a_field_that_only_the_writer_knows_is_read_over() -> None:
    writer = _schema(TicketTaken)
    writer["fields"].insert(14, {"name": "mood", "type": {"type": "array", "items": ["null", "string"]}})
    writer["fields"].append({"name": "tone", "type": ["null", {"type": "enum", "name": "Tone", "symbols": ["unknown", "calm"]}]})

    assert _decoded(writer, example("TicketTaken"), mood=["good", None], tone="calm") == example("TicketTaken")


def test_a_field_that_the_writer_did_not_know_takes_its_default() -> None:
    writer = _schema(TicketClosed)
    writer["fields"] = [one for one in writer["fields"] if one["name"] != "merged_into"]

    assert _decoded(writer, example("TicketClosed")) == example("TicketClosed")


def test_arrays_that_the_writer_did_not_know_are_empty() -> None:
    letter: Any = example("LetterReceived")
    writer = _schema(type(letter))
    writer["fields"] = [one for one in writer["fields"] if one["name"] != "thread_keys"]
    writer["fields"][-1] = json.loads(json.dumps(writer["fields"][-1]))

    decoded = _decoded(writer, letter)

    assert (decoded.thread_keys, decoded.attachments) == ((), letter.attachments)


def test_a_word_that_only_the_writer_knows_is_read_as_unknown() -> None:
    ended: Any = example("CallEnded")
    writer = _schema(type(ended))
    enum = next(one["type"] for one in writer["fields"] if one["name"] == "ending")
    enum["symbols"].append("satellite_lost")

    assert _decoded(writer, ended, ending="satellite_lost").ending == "unknown"
    assert _decoded(writer, ended).ending == "completed"


def test_a_field_without_default_that_was_not_written_has_no_decoder() -> None:
    writer = _schema(TicketTaken)
    writer["fields"].pop()

    with pytest.raises(NoDecoder, match=r"TicketTaken\.queue"):
        compile_decoder(writer, _schema(TicketTaken), TicketTaken)


@pytest.mark.parametrize("avro", [{"type": "map", "values": "int"}, ["int", "null"], ["null", "int", "string"], "double"])
def test_a_type_that_no_event_uses_has_no_decoder(avro: Any) -> None:
    writer = _schema(TicketTaken)
    writer["fields"].append({"name": "extra", "type": avro})

    with pytest.raises(NoDecoder):
        compile_decoder(writer, _schema(TicketTaken), TicketTaken)

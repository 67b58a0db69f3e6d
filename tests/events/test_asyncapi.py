"""asyncapi.yaml: right by the specification, complete, and true to the schemas it is made of."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import to_parsing_canonical_form

from events.catalogue import EVENT_TYPES, EventType
from events.wire.asyncapi import document, text
from events.wire.codec import load_codec
from events.wire.descriptions import Field, describe
from events.wire.schema_examples import read_example
from events.wire.schemas import WriterSchema, load, topics

DOCUMENT: dict[str, Any] = json.loads(text(describe()))
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

#: Object of the specification → its fields, those that must be there with a "!".
SPECIFICATION: Mapping[str, str] = {
    "root": "asyncapi! info! id servers defaultContentType channels operations components",
    "info": "title! version! termsOfService contact license description tags externalDocs",
    "server": "host! protocol! protocolVersion pathname description title summary variables security tags externalDocs bindings",
    "variable": "enum default description examples",
    "channel": "address messages title summary description servers parameters tags externalDocs bindings",
    "operation": "action! channel! title summary description security tags externalDocs bindings traits messages reply",
    "message": "headers payload correlationId contentType name title summary description tags externalDocs bindings examples traits",
    "example": "headers payload name summary",
    "multi format schema": "schemaFormat! schema!",
    "security scheme": "type! description name in scheme bearerFormat flows openIdConnectUrl scopes",
    "kafka channel": "topic partitions replicas topicConfiguration bindingVersion",
    "kafka topic": "cleanup.policy retention.ms retention.bytes delete.retention.ms max.message.bytes",
    "kafka message": "key schemaIdLocation schemaIdPayloadEncoding schemaLookupStrategy bindingVersion",
    "reference": "$ref!",
}


def _objects() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield every object of the document: what it is, where it lies, and it."""
    yield from (("root", "", DOCUMENT), ("info", "info", DOCUMENT["info"]))
    for name, server in DOCUMENT["servers"].items():
        yield "server", name, server
        yield from (("variable", one, variable) for one, variable in server["variables"].items())
        yield from (("reference", name, one) for one in server.get("security", []))
    for name, channel in DOCUMENT["channels"].items():
        yield "channel", name, channel
        yield "kafka channel", name, channel["bindings"]["kafka"]
        yield "kafka topic", name, channel["bindings"]["kafka"]["topicConfiguration"]
        yield from (("reference", name, one) for one in channel["messages"].values())
    for name, operation in DOCUMENT["operations"].items():
        yield "operation", name, operation
        yield from (("reference", name, one) for one in (operation["channel"], *operation["messages"]))
    for name, message in MESSAGES.items():
        yield "message", name, message
        yield "kafka message", name, message["bindings"]["kafka"]
        yield from (("reference", name, message[one]) for one in ("headers", "payload"))
        yield from (("example", name, one) for one in message["examples"])
    yield from (("security scheme", name, one) for name, one in DOCUMENT["components"]["securitySchemes"].items())
    yield from (("multi format schema", name, one) for name, one in SCHEMAS.items() if name != "headers")


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        yield from (one for inner in part.values() for one in _references(inner))
    elif isinstance(part, list):
        yield from (one for inner in part for one in _references(inner))


def _at(pointer: str) -> Any:
    found: Any = DOCUMENT
    for step in pointer.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_every_object_has_the_fields_that_the_specification_wants_and_no_others() -> None:
    wrong = []
    for kind, place, one in _objects():
        fields = SPECIFICATION[kind].split()
        known, needed = {field.rstrip("!") for field in fields}, {field[:-1] for field in fields if field.endswith("!")}
        wrong += [f"{kind} {place}: {name}" for name in needed - one.keys()]
        wrong += [f"{kind} {place}: {name}" for name in one.keys() - known if not re.fullmatch(r"x-[\w.-]+", name)]

    assert wrong == []
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send"}
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for part in DOCUMENT["components"].values() for name in part)
    assert {name for _, name, server in _objects() if _ == "server" for name in re.findall(r"{(\w+)}", server["host"])} == {"bootstrap"}


def test_every_reference_leads_somewhere_and_an_operation_names_messages_of_its_own_channel() -> None:
    references = list(_references(DOCUMENT))

    assert len(references) > 100
    for reference in references:
        assert _at(reference), reference
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        assert {one["$ref"] for one in operation["messages"]} == {f"{channel}/messages/{name}" for name in _at(channel)["messages"]}


def test_every_topic_stands_in_it_as_it_is_made() -> None:
    said = {
        name: (one["bindings"]["kafka"]["partitions"], one["bindings"]["kafka"]["topicConfiguration"]["retention.ms"], one["x-owner"])
        for name, one in DOCUMENT["channels"].items()
    }

    assert said == {one.name: (one.partitions, one.retention_ms, one.owner) for one in topics().values()}


def test_every_event_stands_under_each_of_its_subjects_with_every_version_and_id() -> None:
    said = {
        (name, version["version"], version["id"])
        for message in MESSAGES.values()
        for name in message["x-subjects"]
        for version in message["x-versions"]
    }
    lying = {(channel, name) for channel, one in DOCUMENT["channels"].items() for name in one["messages"]}

    assert said == {(name, one.version, one.id) for one in load().by_id.values() for name in one.subjects}
    assert lying == {(topic, kind.record_name) for kind in EVENT_TYPES for topic in kind.topics}


@pytest.mark.parametrize("one", load().by_id.values(), ids=lambda one: f"{one.full_name}.v{one.version}")
def test_a_schema_is_the_one_of_its_file_in_a_form_that_tools_of_asyncapi_take(one: WriterSchema) -> None:
    said = SCHEMAS[f"{one.full_name}.v{one.version}"]["schema"]

    # the same for Avro, and for whatever it leaves out of its canonical form: docs, tags, defaults
    assert to_parsing_canonical_form(said) == to_parsing_canonical_form(one.schema)
    assert [{**field, "type": ""} for field in said["fields"]] == [{**field, "type": ""} for field in one.schema["fields"]]
    assert re.findall(r'"name": "[^"]*\.[^"]*"', json.dumps(said)) == []


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.event.__name__)
def test_an_example_is_a_record_that_its_payload_describes_and_our_own_decoder_reads(kind: EventType, tmp_path: Path) -> None:
    message = MESSAGES[kind.record_name]
    (example,) = message["examples"]
    schema = _at(message["payload"]["$ref"])["schema"]
    path = tmp_path / "example.json"
    path.write_text(json.dumps(example["payload"]), "utf-8")
    out = io.BytesIO()
    out.write(b"\0" + message["x-versions"][-1]["id"].to_bytes(4, "big"))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), read_example(path, load().latest_of(kind.event).schema))

    event = load_codec().decode(out.getvalue())

    assert type(event) is kind.event
    assert message["bindings"]["kafka"]["key"]["examples"] == [kind.key_of(event)]
    assert example["headers"].keys() >= set(SCHEMAS["headers"]["required"])
    assert example["headers"]["ce_id"] == event.event_id.hex()


def test_what_is_personal_is_told_with_whose_it_is() -> None:
    def tagged(fields: list[dict[str, Any]]) -> int:
        inner = [
            one["type"]["items"]["fields"] for one in fields if isinstance(one["type"], dict) and isinstance(one["type"].get("items"), dict)
        ]
        return sum("personal" in one for one in fields) + sum(map(tagged, inner))

    told = {name: len(message["x-sealed"]) for name, message in MESSAGES.items()}
    letter = MESSAGES["hotline.letters.LetterReceived"]["x-sealed"]

    assert told == {one.full_name: tagged(one.schema["fields"]) for one in (load().latest_of(kind.event) for kind in EVENT_TYPES)}
    assert {"field": "attachments[].name", "of": "citizen", "kind": "document"} in letter


def test_the_same_schemas_give_the_same_bytes() -> None:
    assert text(describe.__wrapped__()) == text(describe())
    assert json.loads(text(describe())) == document(describe())


def test_a_field_is_told_in_words_with_its_path() -> None:
    (outcome,) = (event for event in describe().events if event.name == "hotline.outcomes.CauseSettled")
    (opened,) = (event for event in describe().events if event.name == "hotline.tickets.TicketRegistered")
    fields: dict[str, Field] = {field.path: field for field in (*outcome.fields, *opened.fields)}

    assert fields["decisions"].type.startswith("list of: record ")
    assert fields["decisions[].number"].type == "text"
    assert fields["result"].type.startswith("one of unknown, decided")
    assert fields["first_offset"].type == "whole number, 64 bits, or nothing"
    assert fields["cause_id"].type == "16 bytes (hotline.Id)"
    assert (fields["phone"].type, fields["phone"].sealed, fields["phone"].default) == (
        "sealed bytes, or nothing",
        ("citizen", "contact"),
        "null",
    )
    assert (fields["number"].code, fields["number"].default) == ("ticket number", None)

"""`asyncapi.yaml`: the topics, their events and what readers may rely on, as one AsyncAPI 3.0 document for programs.

Made from `events.wire.descriptions` alone, so the same folder of schemas always gives the same bytes. Written as JSON, of which every
document is one of YAML 1.2 too: an emitter of our own would be code without another use, and every YAML reader takes this. Must not know
where a Kafka is: whoever runs it tells its readers.
"""

import json
from typing import Any

from events.wire.descriptions import Catalogue, Described, Field, kept_for
from events.wire.schemas import Topic

MEDIA_TYPE = "application/yaml"  # RFC 9512
_BINDING = {"bindingVersion": "0.5.0"}
_AVRO = "application/vnd.apache.avro;version=1.9.0"
_SOURCES = "hotline-intake or /hotline/desk, for example"
_ABOUT = """What the hotline publishes, for those who read it. The document speaks for the hotline: where it sends, you receive.

A value is one zero byte, the schema's id in four bytes (most significant first), then the record in Avro's binary encoding, as serializers
of Confluent's kind write it. Ids stand under `x-versions` of each message; the schema of every version is among the components. Sealed
values are bytes that nobody opens without the vault; whose they are and of which category stands under `x-sealed`.

What holds for every topic:

"""


def text(catalogue: Catalogue) -> str:
    """Return the document as it is served and printed."""
    return json.dumps(document(catalogue), ensure_ascii=False, indent=2) + "\n"


def document(catalogue: Catalogue) -> dict[str, Any]:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Hotline: topics", "version": "1", "description": _ABOUT + _listed(catalogue.guarantees)},
        "defaultContentType": "application/vnd.apache.avro",
        "servers": _SERVERS,
        "channels": {topic.name: _channel(topic, catalogue.on(topic.name)) for topic in catalogue.topics},
        "operations": {f"publish.{topic.name}": _operation(topic, catalogue.on(topic.name)) for topic in catalogue.topics},
        "components": {
            "securitySchemes": {"scram": {"type": "scramSha512", "description": "SCRAM-SHA-512, over TLS alone."}},
            "messages": {event.name: _message(event) for event in catalogue.events},
            "schemas": {
                "headers": _HEADERS,
                **{
                    _schema_name(event, version.number): {"schemaFormat": _AVRO, "schema": _apart(version.schema)}
                    for event in catalogue.events
                    for version in event.versions
                },
            },
        },
    }


_BOOTSTRAP = {"bootstrap": {"default": "127.0.0.1:19092", "description": "Bootstrap servers; the default is the local Kafka's."}}
_SERVERS = {
    "local": {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "description": "A Kafka that is spoken to in clear: the local one.",
        "variables": _BOOTSTRAP,
    },
    "secured": {
        "host": "{bootstrap}",
        "protocol": "kafka-secure",
        "description": "A Kafka that asks for TLS and a name with a password; whoever runs the hotline gives you both, and the address.",
        "variables": _BOOTSTRAP,
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
    },
}

_HEADERS = {
    "type": "object",
    "description": "Headers of every record, in UTF-8; none says anything about a person.",
    "required": ["ce_id", "ce_type", "ce_source", "ce_specversion"],
    "properties": {
        "ce_id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "event_id in hex: what repeats have in common."},
        "ce_type": {"type": "string", "description": "Full name of the record."},
        "ce_source": {"type": "string", "description": f"The process that published it: {_SOURCES}."},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "traceparent": {"type": "string", "description": "W3C Trace Context, where a trace is known."},
    },
}


def _apart(avro: Any) -> Any:
    """Return a schema with the namespaces of its types apart from their names: the same for Avro, and all that AsyncAPI's tools take."""
    if isinstance(avro, list):
        return [_apart(one) for one in avro]
    if not isinstance(avro, dict):
        return avro
    inner = {key: value if key == "default" else _apart(value) for key, value in avro.items()}
    namespace, dot, name = avro.get("name", "").rpartition(".")
    return {**inner, "name": name, "namespace": namespace} if dot else inner


def _channel(topic: Topic, events: list[Described]) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": topic.holds,
        "description": f"{topic.meaning}\n\nOrder: {topic.order}\n\n{_listed(topic.guarantees)}",
        "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"} for event in events},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup], "retention.ms": topic.retention_ms},
                **_BINDING,
            }
        },
        "x-owner": topic.owner,
        "x-key": topic.key,
        "x-kept": kept_for(topic),
        "x-written-by": list(topic.written_by),
        "x-read-by": list(topic.read_by),
    }


def _operation(topic: Topic, events: list[Described]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"Publishes {topic.holds}.",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{event.name}"} for event in events],
    }


def _message(event: Described) -> dict[str, Any]:
    newest = event.versions[-1]
    return {
        "name": event.name,
        "title": event.name.rpartition(".")[2],
        "summary": event.doc,
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"#/components/schemas/{_schema_name(event, newest.number)}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "examples": [event.example_key]},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicRecordNameStrategy",
                **_BINDING,
            }
        },
        "examples": [{"summary": "Ids and sealed values in hex.", "headers": _example_headers(event), "payload": event.example}],
        "x-versions": [{"version": version.number, "id": version.id} for version in event.versions],
        "x-subjects": [f"{topic}-{event.name}" for topic in event.topics],
        "x-sealed": [_sealed(field) for field in event.sealed],
    }


def _example_headers(event: Described) -> dict[str, str]:
    return {"ce_id": event.example["event_id"], "ce_type": event.name, "ce_source": "/hotline/example", "ce_specversion": "1.0"}


def _sealed(field: Field) -> dict[str, str]:
    assert field.sealed is not None, "only sealed fields are told of here"
    return {"field": field.path, "of": field.sealed[0], "kind": field.sealed[1]}


def _schema_name(event: Described, version: int) -> str:
    return f"{event.name}.v{version}"


def _listed(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)

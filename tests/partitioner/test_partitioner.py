"""A key lies on the partition where Kafka's own Java producer puts it: the golden file `keys.json` says where, and how it was made."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from events.settings import Settings
from events.wire.publisher import PRODUCER_SETTINGS

GOLDEN = json.loads(Path(__file__).with_name("keys.json").read_text("utf-8"))
ANSWER_S = 10.0

pytestmark = pytest.mark.parts


@pytest.fixture(scope="module")
def topic(stack: Settings) -> Iterator[str]:
    """A topic of this module's own with as many partitions as the golden one had."""
    name = f"partitioner-{secrets.token_hex(4)}"
    admin = AdminClient({"bootstrap.servers": stack.kafka_address})
    admin.create_topics([NewTopic(name, GOLDEN["partitions"], 1)])[name].result(ANSWER_S)
    yield name
    admin.delete_topics([name])[name].result(ANSWER_S)


def _landed(stack: Settings, topic: str, **changed: str) -> dict[str, int]:
    found: dict[str, int] = {}

    def note(_: object, message: Message) -> None:
        found[(message.key() or b"").decode()] = message.partition() or 0

    producer = Producer({**PRODUCER_SETTINGS, "bootstrap.servers": stack.kafka_address, **changed})
    for key in GOLDEN["keys"]:
        producer.produce(topic, key=key.encode(), value=b"", on_delivery=note)
    assert producer.flush(ANSWER_S) == 0
    return found


def test_every_key_lies_where_java_puts_it(stack: Settings, topic: str) -> None:
    landed = _landed(stack, topic)

    assert landed == GOLDEN["keys"]
    assert set(landed.values()) == set(range(GOLDEN["partitions"]))


def test_the_golden_keys_tell_another_partitioner_apart(stack: Settings, topic: str) -> None:
    landed = _landed(stack, topic, partitioner="consistent_random")

    elsewhere = sum(landed[key] != partition for key, partition in GOLDEN["keys"].items())
    assert elsewhere > len(GOLDEN["keys"]) / 2

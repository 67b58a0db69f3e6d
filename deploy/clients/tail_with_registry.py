"""Any topic as JSON lines, decoded by confluent-kafka's own deserializer, with nothing of ours but the registry's address.

    python tail_with_registry.py 127.0.0.1:19092 http://127.0.0.1:18085/apis/ccompat/v7 hotline.contacts

Needs confluent-kafka[avro,schemaregistry]. Reads from the beginning to the end as it is now; keeps no place and drops no repeats.
"""

import json
import sys
from typing import TextIO

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

LIMIT_S = 10


def main(brokers: str, registry: str, topic: str, out: TextIO) -> None:
    """Write one line per record: its place, its type, its fields; `null` for bytes that name no schema.

    What names one that the registry lacks, or is cut short, ends it with the deserializer's own error.
    """
    decode = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "tail", "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    parts = [TopicPartition(topic, part) for part in consumer.list_topics(topic, timeout=LIMIT_S).topics[topic].partitions]
    bounds = {place.partition: consumer.get_watermark_offsets(place, timeout=LIMIT_S) for place in parts}
    ends = {part: end for part, (first, end) in bounds.items() if first < end}
    consumer.assign([TopicPartition(topic, part, bounds[part][0]) for part in ends])
    while ends:  # offsets have no holes: the last one comes
        message = consumer.poll(LIMIT_S)
        if message is None or message.error():
            raise KafkaException(message.error() if message else f"nothing came for {LIMIT_S} s")
        part, offset = message.partition() or 0, message.offset() or 0
        if offset >= ends.get(part, 0):
            continue  # came after we began
        try:
            fields = decode(message.value(), SerializationContext(topic, MessageField.VALUE))
        except SerializationError:
            fields = None
        said = dict(message.headers() or ()).get("ce_type")
        named = said.decode() if isinstance(said, bytes) else None
        line = {"partition": part, "offset": offset, "type": named, "fields": fields}
        out.write(json.dumps(line, ensure_ascii=False, default=bytes.hex) + "\n")
        if offset + 1 == ends[part]:
            del ends[part]
    consumer.close()


if __name__ == "__main__":
    kafka_address, registry_address, name = sys.argv[1:]
    main(kafka_address, registry_address, name, sys.stdout)

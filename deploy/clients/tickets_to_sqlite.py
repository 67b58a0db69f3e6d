"""hotline.tickets into one SQLite file, each valid decision once: a plain consumer that may be killed at any moment and started again.

    python tickets_to_sqlite.py 127.0.0.1:19092 http://127.0.0.1:18085/apis/ccompat/v7 tickets.sqlite

Needs confluent-kafka and fastavro. Its place lies in the same file as its rows and moves in the same transaction; the group's commit is not
used. It stops, with a reason, at what only people can settle: a hole in the log, a schema that the registry lacks, a version given twice.
"""

import io
import json
import sqlite3
import sys
import urllib.request
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

TOPIC = "hotline.tickets"
TABLES = """
CREATE TABLE IF NOT EXISTS place (part INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, era INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS decisions (number TEXT, version INTEGER, event_id TEXT NOT NULL, type TEXT NOT NULL, fields TEXT NOT NULL,
                                      PRIMARY KEY (number, version));
"""
OUR_IDS = range(900_000_001, 999_999_999)
SCHEMAS: dict[int, Any] = {}


def decode(value: bytes | None, registry: str) -> tuple[str, dict[str, Any]] | None:
    """Full name and fields of a record; None for strange bytes, which may lie on any topic."""
    number = int.from_bytes(value[1:5], "big") if value and value[0] == 0 else -1
    if value is None or number not in OUR_IDS:
        return None
    if number not in SCHEMAS:  # an id of ours that the registry lacks is a newer schema: an error here, never passed by
        with urllib.request.urlopen(f"{registry}/schemas/ids/{number}", timeout=10) as answer:  # noqa: S310 - the address we were given
            SCHEMAS[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    try:
        fields: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), SCHEMAS[number], None)
    except (EOFError, IndexError, ValueError):
        return None
    return SCHEMAS[number]["name"], fields


def take(db: sqlite3.Connection, message: Message, registry: str) -> None:
    """One record, with the place behind it, into the transaction that is open."""
    part, offset = message.partition(), message.offset() or 0
    expected, era = db.execute("SELECT next_offset, era FROM place WHERE part = ?", (part,)).fetchone() or (0, 0)
    if offset != expected:
        raise SystemExit(f"partition {part}: offset {expected} is missing, the log goes on with {offset}")
    name, fields = decode(message.value(), registry) or ("", {})
    if name.endswith(".EraOpened"):
        era = max(era, fields["era"])  # from here on in this partition, lower eras are void
    elif name and fields["era"] >= era:
        row = (fields["number"], fields["version"], fields["event_id"].hex(), name, json.dumps(fields, default=bytes.hex))
        db.execute("INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?)", row)  # a repeat: the first one counts
        (kept,) = db.execute("SELECT event_id FROM decisions WHERE number = ? AND version = ?", row[:2]).fetchone()
        if kept != row[2]:
            raise SystemExit(f"partition {part}, offset {offset}: version {row[1]} of {row[0]} was given twice")
    db.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (part, offset + 1, era))


def main(brokers: str, registry: str, file: str) -> None:
    """Follow the topic for ever."""
    db = sqlite3.connect(file, isolation_level=None)
    db.executescript(TABLES)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": file, "enable.auto.commit": False, "auto.offset.reset": "error"})
    places = dict(db.execute("SELECT part, next_offset FROM place"))
    parts = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, part, places.get(part, 0)) for part in parts])
    while True:
        messages = consumer.consume(500, timeout=1)
        with db:  # commits, or takes all of it back
            db.execute("BEGIN")
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                take(db, message, registry)


if __name__ == "__main__":
    main(*sys.argv[1:])

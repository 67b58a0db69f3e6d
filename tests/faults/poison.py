"""Bytes nobody can read, written past every door of ours; a row that no handler can go on from; and the way back by redriving."""

import random
from time import time_ns
from typing import Any

import psycopg
from confluent_kafka import Producer

from projectors import parked
from projectors.parked import Request
from tests.faults.site import Site
from tests.waiting import until

CONTACTS, TICKETS = "hotline.contacts", "hotline.tickets"
_ANSWER_S = 10.0
_WAITS_S = 20.0


def poisons(whole: bytes, seed: int) -> dict[str, bytes]:
    """Return what could stand where a record should; some of it begins as `whole`, a record that can be read."""
    chance = random.Random(seed)
    return {
        "random bytes": chance.randbytes(300),
        "nothing": b"",
        "bad magic": b"\x01" + whole[1:],
        "cut short": whole[: len(whole) // 2],
        "cut in its frame": whole[:3],
        "schema of nobody": b"\0" + (7).to_bytes(4, "big") + whole[5:],
        "lengths without end": whole[:5] + b"\xff" * 400,
        "very deep": whole[:5] + b"\x02" * 100_000,
        "very long": chance.randbytes(2_000_000),
    }


def put_all(site: Site, number: str, seed: int) -> int:
    """Write every poison under the ticket's key among the decisions, and under a key of nobody among the facts; return how many."""
    all_of_them = poisons(until(lambda: _decision_of(site, number), _WAITS_S), seed)
    for what, raw in all_of_them.items():
        _put(site, CONTACTS, f"{what} {seed}".encode(), raw)
        _put(site, TICKETS, number.encode(), raw)
    site.history.harmed("poison", "ticket and contacts")
    return len(all_of_them)


def _decision_of(site: Site, number: str) -> bytes:
    """Return the bytes of one of the ticket's decisions; none while the audit log has not come so far."""
    with psycopg.connect(site.settings.database) as db:
        row = db.execute("SELECT body FROM audit_log WHERE topic = %s AND subject = %s LIMIT 1", [TICKETS, number]).fetchone()
    return bytes(row[0]) if row else b""


def _put(site: Site, topic: str, key: bytes, raw: bytes) -> None:
    """Write as a broken program would, though by the right partitioner."""
    settings: dict[str, Any] = {"bootstrap.servers": site.settings.kafka_address, "partitioner": "murmur2_random"}
    producer = Producer({**settings, "message.max.bytes": 4_000_000, "log_level": 0})
    producer.produce(topic, key=key, value=raw)
    assert producer.flush(_ANSWER_S) == 0


def has_row(site: Site, number: str) -> bool:
    """Say whether ticket status knows the ticket."""
    with psycopg.connect(site.settings.database) as db:
        return db.execute("SELECT FROM ticket_status WHERE number = %s", [number]).fetchone() is not None


def spoil(site: Site, number: str, version: int) -> None:
    """Let the ticket's row claim a version that is not its own; with the right one it is mended.

    In the table, since a view cannot be written to any more once a rebuild has been switched to and back.
    """
    with psycopg.connect(site.settings.database) as db:
        assert db.execute("UPDATE ticket_status_v1 SET version = %s WHERE number = %s", [version, number]).rowcount == 1


def waiting(site: Site, number: str) -> list[Request]:
    """Return what waits for the ticket, if anything does."""
    with psycopg.connect(site.settings.database) as db:
        return [Request(key.consumer, key.topic, key.partition, key.key) for key in parked.list_keys(db, number.encode())]


def redriven(site: Site, wanted: list[Request]) -> set[str | None]:
    """Ask the owners of the partitions to try again; return how it ended for them."""
    with psycopg.connect(site.settings.database, autocommit=True) as db:
        parked.request(db, wanted, time_ns() // 1000)
        until(lambda: None not in parked.find_answers(db, wanted).values(), _WAITS_S)
        return set(parked.find_answers(db, wanted).values())

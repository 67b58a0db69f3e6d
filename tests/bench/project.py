"""How fast one process projects: audit log and ticket status together, positions included, through the real loop."""

import hashlib
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message, TopicPartition
from psycopg import Connection, sql
from pydantic import SecretStr

from consumers.kafka import make_consumer
from deploy.spawn import Command
from events.envelope import TICKETS, Decision
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import PRODUCER_SETTINGS
from projectors import database
from projectors.model import consumer_of
from projectors.positions import list_positions
from projectors.record import Record
from projectors.ticket_status import TICKET_STATUS
from tests.bench import floor
from tests.bench.figures import Figure
from tests.bench.lives import Lives
from tests.bench.publish import produce_all
from tests.bench.stack import child, own_stack
from tests.waiting import until

DECISIONS = 210_000
ROUNDS = 3
_START_LIMIT_S, _RUN_LIMIT_S = 20.0, 60.0
_ANSWER_S = 10.0
_GOAL = 0.35


def run() -> list[Figure]:
    """Measure, the floor and the projector by turns, each in a database of its own; the round with the middle ratio counts."""
    with own_stack() as settings:
        bytes_each = preload(settings, Lives().decisions(DECISIONS))
        ready = floor.make_ready(read_back(settings, DECISIONS))
        rounds = sorted((_round(settings, ready) for _ in range(ROUNDS)), key=lambda one: one.rate * one.alone.all_s)
    middle = rounds[ROUNDS // 2]
    alone = middle.alone
    return [
        Figure(
            bench="project",
            what="audit log and ticket status, one process",
            value=middle.rate,
            unit="events/s",
            floor=DECISIONS / alone.all_s,
            at_least=_GOAL,
            details={
                "events": DECISIONS,
                "bytes each": round(bytes_each),
                "most memory MB": round(middle.memory_mb),
                "ratio of each round": " ".join(f"{one.rate * one.alone.all_s / DECISIONS:.2f}" for one in rounds),
                "floor": f"{alone.all_s:.2f} s: audit {alone.audit_s:.2f}, status {alone.status_s:.2f}, positions {alone.positions_s:.2f}, "
                f"the rest commits; {len(ready)} transactions, {sum(one.status_rows for one in ready)} rows of status",
            },
        )
    ]


class _Round(NamedTuple):
    alone: floor.Spent
    rate: float
    memory_mb: float


def _round(settings: Settings, ready: Sequence[floor.Ready]) -> _Round:
    with own_database(settings) as address:
        alone = floor.write(address, ready)
        wanted = sum_of(address)
    with own_database(settings) as address:
        rate, memory_mb = follow(settings, address)
        if sum_of(address) != wanted:
            raise AssertionError("the floor and the projector did not write the same rows")
    return _Round(alone, rate, memory_mb)


def preload(settings: Settings, decisions: Sequence[Decision]) -> float:
    """Put `decisions` on their topic; return the size of a value, on average."""
    codec = load_codec()
    encoded = [codec.encode(decision, "/bench") for decision in decisions]
    produce_all({**PRODUCER_SETTINGS, "bootstrap.servers": settings.kafka_address}, encoded)
    return sum(len(one.value) for one in encoded) / len(encoded)


def read_back(settings: Settings, wanted: int) -> list[Record]:
    """Return the first `wanted` records of the topic in an order in which a consumer gets them, decoded."""
    codec = load_codec()
    consumer = make_consumer(settings.kafka_address, f"bench-{secrets.token_hex(4)}")
    try:
        partitions = consumer.list_topics(TICKETS, timeout=_ANSWER_S).topics[TICKETS].partitions
        consumer.assign([TopicPartition(TICKETS, partition, 0) for partition in partitions])
        messages: list[Message] = []
        while len(messages) < wanted:
            got = consumer.consume(min(wanted - len(messages), floor.BATCH_RECORDS), timeout=_ANSWER_S)
            assert got, "Kafka holds fewer records than were put there"
            messages += got
    finally:
        consumer.close()
    return [_record(message, codec.decode(message.value())) for message in messages]


def _record(message: Message, event: Any) -> Record:
    place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
    return Record(*place, message.key() or b"", message.timestamp()[1] * 1000, message.value() or b"", event)


def follow(settings: Settings, address: str) -> tuple[float, float]:
    """Let a process project everything; return records per second and the most memory it held, in MB.

    Looks at the positions, which move with the rows. The first batch, short or not, only starts the clock.
    """
    its_own = settings.model_copy(update={"database_url": SecretStr(address)})
    command = Command((sys.executable, "-m", "tests.bench.projector", secrets.token_hex(4)), Path.cwd(), its_own.environment())
    with child(command, settings.folder / "logs" / "projector.log") as process, database.connect(address, "bench") as db:
        database.prepare(db, floor.MODELS)
        first = until(partial(_projected, db), _START_LIMIT_S)
        began = perf_counter()
        until(lambda: _projected(db) == DECISIONS, _RUN_LIMIT_S)
        return (DECISIONS - first) / (perf_counter() - began), _most_memory_mb(process.pid)


def _projected(db: Connection[Any]) -> int:
    """Return how many records ticket status has taken in; audit log moves with it."""
    reached = list_positions(db, [consumer_of(TICKET_STATUS)])
    return sum(reached[consumer_of(TICKET_STATUS)].values())


def _most_memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


@contextmanager
def own_database(settings: Settings) -> Iterator[str]:
    """Address of a fresh database; the server has nothing left to write when the block begins."""
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(settings.database, autocommit=True) as db:
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        db.execute("CHECKPOINT")
        try:
            yield settings.database.replace("/hotline?", f"/{name}?")
        finally:
            db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def sum_of(address: str) -> str:
    """Return a digest over all rows of both tables, whatever order they were written in."""
    digest = hashlib.sha256()
    with psycopg.connect(address) as db:
        for model in floor.MODELS:
            query = sql.SQL("SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {} t").format(sql.Identifier(model.name))
            digest.update(repr(db.execute(query).fetchone()).encode())
    return digest.hexdigest()

"""How fast one process projects, and two that share the partitions: audit log and ticket status together, positions included, through the
real loop, beside the database alone with one session.
"""

import hashlib
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg import Connection, sql
from pydantic import SecretStr

from consumers.kafka import GROUPS, make_consumer
from deploy.spawn import Command
from events.envelope import TICKETS, Decision
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import PRODUCER_SETTINGS
from projectors import database
from projectors.model import ReadModel, consumer_of
from projectors.positions import list_positions
from projectors.record import Record
from projectors.ticket_status import TICKET_STATUS
from tests.bench import floor
from tests.bench.figures import Figure
from tests.bench.lives import Lives
from tests.bench.publish import produce_all
from tests.bench.stack import child, cpu_s, own_stack
from tests.waiting import until

DECISIONS = 210_000
ROUNDS = 3
_START_LIMIT_S, _RUN_LIMIT_S = 30.0, 120.0
_ANSWER_S = 10.0
_GOALS = {1: 0.5, 2: 0.8}  # by number of processes: of the floor, which is one session
_WORDS = {1: "one process", 2: "two processes"}


def run() -> list[Figure]:
    """Measure the floor, one process and two by turns, each in a database of its own; the round with the middle ratio counts."""
    with own_stack() as settings:
        bytes_each = preload(settings, Lives().decisions(DECISIONS))
        ready = floor.make_ready(read_back(settings, DECISIONS))
        rounds = [_round(settings, ready) for _ in range(ROUNDS)]
    return [_figure(processes, rounds, ready, bytes_each) for processes in _GOALS]


class _Followed(NamedTuple):
    """What one run of the projector took, from the moment when all its processes had a share."""

    per_s: float
    cpu_us: float  # of all its processes together, for each record
    memory_mb: float  # of the one that held most


class _Round(NamedTuple):
    alone: floor.Spent
    followed: Mapping[int, _Followed]  # by number of processes

    def ratio(self, processes: int) -> float:
        """Return the rate as a share of the floor's."""
        return self.followed[processes].per_s * self.alone.all_s / DECISIONS


def _figure(processes: int, rounds: Sequence[_Round], ready: Sequence[floor.Ready], bytes_each: float) -> Figure:
    """Return what the round with the middle ratio found."""
    middle = sorted(rounds, key=lambda one: one.ratio(processes))[len(rounds) // 2]
    alone, followed = middle.alone, middle.followed[processes]
    return Figure(
        bench="project",
        what=f"audit log and ticket status, {_WORDS[processes]}",
        value=followed.per_s,
        unit="events/s",
        floor=DECISIONS / alone.all_s,
        at_least=_GOALS[processes],
        details={
            "events": DECISIONS,
            "bytes each": round(bytes_each),
            "processor us each": f"{followed.cpu_us:.1f} (without Postgres; with it the floor has {alone.all_s / DECISIONS * 1e6:.1f} us)",
            "most memory MB": round(followed.memory_mb),
            "ratio of each round": " ".join(f"{one.ratio(processes):.2f}" for one in rounds),
            "floor": f"{alone.all_s:.2f} s: audit {alone.audit_s:.2f}, status {alone.status_s:.2f}, positions {alone.positions_s:.2f}, "
            f"the rest commits; {len(ready)} transactions, {sum(one.status_rows for one in ready)} rows of status",
        },
    )


def _round(settings: Settings, ready: Sequence[floor.Ready]) -> _Round:
    with own_database(settings) as address:
        alone = floor.write(address, ready)
        wanted = sum_of(address)
    followed = {}
    for processes in _GOALS:
        with own_database(settings) as address:
            followed[processes] = follow(settings, address, processes)
            if sum_of(address) != wanted:
                raise AssertionError("the floor and the projector did not write the same rows")
    return _Round(alone, followed)


def preload(settings: Settings, decisions: Sequence[Decision]) -> float:
    """Put `decisions` on their topic; return the size of a value, on average."""
    codec = load_codec()
    encoded = [codec.encode(decision, "/bench") for decision in decisions]
    produce_all({**PRODUCER_SETTINGS, "bootstrap.servers": settings.kafka_address}, encoded)
    return sum(len(one.value) for one in encoded) / len(encoded)


def read_back(settings: Settings, wanted: int) -> list[Record]:
    """Return the first `wanted` records of the topic in an order in which a consumer gets them, decoded."""
    codec = load_codec()
    consumer = make_consumer(settings.kafka_access, f"bench-{secrets.token_hex(4)}")
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


def follow(settings: Settings, address: str, processes: int) -> _Followed:
    """Let processes of one group project everything.

    Looks at the positions, which move with the rows. What was projected before all processes had a share, and the first batch, which may be
    a short one, only starts the clock.
    """
    its_own, group = settings.model_copy(update={"database_url": SecretStr(address)}), f"bench-{secrets.token_hex(4)}"
    command = Command((sys.executable, "-m", "tests.bench.projector", group), Path.cwd(), its_own.environment())
    with ExitStack() as running:
        logs = [settings.folder / "logs" / f"projector-{one}.log" for one in range(processes)]
        pids = [running.enter_context(child(command, log)).pid for log in logs]
        db = running.enter_context(database.connect(address, "bench"))
        database.prepare(db, floor.MODELS)
        until(partial(_all_share, AdminClient({"bootstrap.servers": settings.kafka_address}), group, processes), _START_LIMIT_S)
        reached = partial(projected, db, TICKET_STATUS)
        first, worked_s = until(reached, _START_LIMIT_S), sum(map(cpu_s, pids))
        assert first < DECISIONS * 2 // 3, "too little was left when all processes had a share"
        per_s = rate_of(reached, first, DECISIONS, _RUN_LIMIT_S)
        worked_s = sum(map(cpu_s, pids)) - worked_s
        return _Followed(per_s, worked_s / (DECISIONS - first) * 1e6, max(map(most_memory_mb, pids)))


def _all_share(kafka: AdminClient, group: str, processes: int) -> bool:
    """Tell whether each of the group's processes has partitions by now."""
    name = f"{GROUPS}projector.{group}"
    told = kafka.describe_consumer_groups([name])[name]
    try:
        members = told.result(_ANSWER_S).members
    except KafkaException:  # nobody has joined yet
        return False
    return sum(bool(member.assignment and member.assignment.topic_partitions) for member in members) == processes


def projected(db: Connection[Any], model: ReadModel) -> int:
    """Return how many records the model's first build has taken in; others that are followed with it move with it."""
    return sum(list_positions(db, [consumer_of(model)])[consumer_of(model)].values())


def rate_of(reached: Callable[[], int], first: int, all_: int, limit_s: float) -> float:
    """Return the records per second from `first` on, now, until `reached` tells `all_`."""
    began = perf_counter()
    until(lambda: reached() == all_, limit_s)
    return (all_ - first) / (perf_counter() - began)


def most_memory_mb(pid: int) -> float:
    """Return the most memory that a process has ever held, in MB."""
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

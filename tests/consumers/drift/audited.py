"""Tickets on the session's Kafka, read models that follow them in a database of their own, and the audit of both."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from threading import Event as Flag
from typing import Any

import psycopg
from confluent_kafka import KafkaException
from psycopg import sql
from pydantic import SecretStr

from consumers.drift.audit import AUDITED, Task
from consumers.drift.ledger import PERSON, Pass
from consumers.drift.passes import Parts, make_pass, opened, terms_of
from consumers.drift.repair import Repair, Repaired
from consumers.drift.slices import Slice
from consumers.loop import Follower
from events import reference, tickets
from events.envelope import Event
from events.places import Partition
from events.settings import Settings
from events.wire.kafka import Kafka
from events.wire.log_ends import LogEnds
from projectors.model import consumer_of
from projectors.positions import list_positions
from projectors.registry import projections
from tests.consumers.on_parts import following, publish
from tests.made import closed, made, registered, taken
from tests.waiting import until

MODELS = tuple(model for model in projections(reference.load()) if model.name in AUDITED)
REFERENCE = reference.load()
TICKETS_IN_A_PASS = 50_000
LAST_ERA = 1 << 40
_numbers = count(1)


def new_number() -> str:
    """A ticket's number that no other test uses."""
    return f"DR-2025-{secrets.randbelow(10**9):09}{next(_numbers):03}"


def a_life(number: str) -> list[Event]:
    """A ticket from its registration to its end, in an era that no other test's mark ends."""
    said: dict[str, Any] = {"number": number, "era": LAST_ERA}
    return [
        registered(has_name=True, **said),
        taken(2, **said),
        made(tickets.ClarificationAsked, version=3, **said),
        made(tickets.ClarificationReceived, version=4, text=b"sealed", **said),
        closed(5, **said),
    ]


def ends_if_known(kafka: Kafka, topics: Iterable[str]) -> Mapping[Partition, int] | None:
    """Where the log ends; None while a partition that was made just now has no leader."""
    try:
        return LogEnds(kafka).latest(topics)
    except KafkaException:
        return None


class Audited:
    """One database and what may be done to it."""

    def __init__(self, settings: Settings, follower: Follower, db: psycopg.Connection[Any], parts: Parts) -> None:
        self.settings, self.follower, self.db, self.parts = settings, follower, db, parts

    def publish(self, events: Sequence[Event]) -> None:
        """Put `events` on the log and let the read models apply them."""
        publish(self.settings, events)
        self.follow()

    def follow(self) -> None:
        """Let the read models apply everything that is on the log."""
        topics = {topic for model in MODELS for topic in model.topics}
        ends = until(lambda: ends_if_known(self.settings.kafka_access, topics)) or {}
        consumers = {consumer_of(model): model.topics for model in MODELS}

        def caught_up() -> bool:
            self.follower.step()
            reached = list_positions(self.db, consumers)
            return all(
                reached[c].get(place, 0) >= past for c, topics in consumers.items() for place, past in ends.items() if place[0] in topics
            )

        until(caught_up, 60)

    def tickets(self) -> int:
        """Return how many tickets there are: those with a row, and those of other tests that wait parked before they had one."""
        row = self.db.execute(
            """
            SELECT count(*) FROM (
                SELECT convert_to(number, 'UTF8') FROM ticket_status UNION SELECT key FROM parked WHERE consumer = %s
            ) AS there
            """,
            ["ticket_status_v1"],
        ).fetchone()
        assert row is not None, "a count has one row"
        return int(row[0])

    def change(self, statement: str, *values: object) -> int:
        """Do harm by SQL; return how many rows it met."""
        return self.db.execute(statement.encode(), values).rowcount

    def make_pass(self, wanted: Slice, models: Sequence[str] = AUDITED) -> Pass:
        """Compare a slice once."""
        return make_pass(self.parts, Task(models, wanted, terms_of(REFERENCE), TICKETS_IN_A_PASS), PERSON)

    def found(self, *numbers: str, models: Sequence[str] = AUDITED) -> set[tuple[str, str, str, tuple[str, ...]]]:
        """Compare everything once; return model, key, what and columns of the findings about `numbers` (of all, if none is named)."""
        done = self.make_pass(Slice(), models)
        return {(f.model, f.key, f.what, f.columns) for f in done.found.findings if not numbers or f.ticket in numbers}

    def repaired(self, number: str, models: Sequence[str] = AUDITED) -> list[Repaired]:
        """Repair one ticket in `models`."""
        repair = Repair(self.parts.log, self.parts.ledger, number)
        return [repair.make_again(model) for model in MODELS if model.name in models]


@contextmanager
def audited(stack: Settings) -> Iterator[Audited]:
    """Read models in a fresh database, ready to follow."""
    name = f"t_{secrets.token_hex(6)}"
    address = stack.database.replace("/hotline?", f"/{name}?")
    with psycopg.connect(stack.database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            settings = stack.model_copy(update={"database_url": SecretStr(address)})
            with (
                following(stack, address, *MODELS) as follower,
                psycopg.connect(address, autocommit=True) as db,
                opened(settings, Flag(), records_per_s=None) as parts,
            ):
                yield Audited(settings, follower, db, parts)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

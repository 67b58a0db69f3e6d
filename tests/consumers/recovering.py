"""A desk, its relay and its database as one office that a test may lose, copy and set up again, on a Kafka of the module's own.

Causes are handed to the desk straight from the log, without a group, so that a step takes milliseconds.
"""

import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from threading import Event as Flag
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from psycopg import Connection, sql

from consumers import outbox
from consumers.desk import eras, memory
from consumers.desk.desk import Desk, now_us
from consumers.desk.eras import Surroundings
from consumers.desk.stretch import Announcements, Stretches, Unreachable
from consumers.desk.watch import Looker
from consumers.kafka import topic_ids
from consumers.relay import Relay
from deploy.parts.identity import outside_folder
from deploy.parts.local import LocalParts
from deploy.parts.ports import pick_free
from deploy.topics import apply_topics
from events import reference
from events.envelope import COMMANDS, FACTS, OUTCOMES, REFERENCE, TICKETS, Decision, Event
from events.outcomes import CauseSettled
from events.places import Partition, Place
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.kafka import Kafka
from events.wire.log_ends import LogEnds
from events.wire.publisher import Publisher
from projectors import database, parked, positions
from projectors.parked import ParkedRecord
from projectors.positions import Move
from projectors.record import Record
from tests import stranger
from tests.consumers.facts import IDENTITY, call_answered, call_ended, call_started, chat_message, command, letter, noted, request
from tests.consumers.on_parts import KAFKA_ANSWERS_S, publish
from tests.faults import invariants
from tests.faults.history import History
from tests.faults.invariants import Evidence
from tests.oracle import Told
from tests.waiting import until

_PORTS = 5
_CAUSES = (FACTS, COMMANDS)
_TOPICS = (*_CAUSES, TICKETS, OUTCOMES, REFERENCE)
_US = "desk_v1"
CODEC = load_codec()


@contextmanager
def own_parts() -> Iterator[Settings]:
    """A Kafka and a Postgres of a module's own: marks of eras concern everybody on a topic."""
    home = Path(tempfile.mkdtemp(prefix="hotline-recovery-"))
    port = pick_free(_PORTS)
    settings = Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    parts = LocalParts(settings, durable=False)
    try:
        parts.start()
        apply_topics(settings.kafka_access)
        until(lambda: _leads(settings))
        yield settings
    finally:
        parts.stop()
        for folder in (home, outside_folder(home)):
            shutil.rmtree(folder, ignore_errors=True)


def _leads(settings: Settings) -> bool:
    """Topics are there before all their partitions have a leader."""
    try:
        return bool(LogEnds(settings.kafka_access).latest([FACTS, COMMANDS, TICKETS, OUTCOMES, REFERENCE]))
    except Unreachable:
        return False


def new(name: str) -> str:
    """Return an own id that no other test uses."""
    return f"{name}-{secrets.token_hex(4)}"


def new_id() -> bytes:
    """Return an event's id that no other test uses."""
    return secrets.token_bytes(16)


def a_call() -> list[Event]:
    """One call from start to end."""
    call = new("call")
    return [call_started(call, event_id=new_id()), call_answered(call, event_id=new_id()), call_ended(call, event_id=new_id())]


def a_letter() -> Event:
    """A letter without a phone: it opens a ticket and asks for one."""
    return letter(new("letter"), has_phone=False, phone=None, event_id=new_id())


def a_form() -> Event:
    """A request from the cabinet."""
    return request(new("form"), event_id=new_id())


def a_bit_of_everything() -> list[Event]:
    """Facts of all kinds, some of them without effect."""
    chat = new("chat")
    return [
        *a_call(),
        a_letter(),
        a_form(),
        chat_message(chat, event_id=new_id()),
        chat_message(chat, ordinal=2, event_id=new_id()),
        noted(chat, "chat", disposition="belongs_to", belongs_to="RU-2000-000001", event_id=new_id()),
        letter(new("letter"), auto_submitted=True, event_id=new_id()),
    ]


class Died(Exception):
    """The desk died at a step."""


@contextmanager
def dying_at(step: str) -> Iterator[None]:
    """Let whoever opens an era die at `step`."""

    def reached(name: str) -> None:
        if name == step:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eras, "reached", reached)
        with pytest.raises(Died):
            yield


class _Seen:
    """What all topics of one Kafka hold, decoded by a stranger; each record is read once."""

    def __init__(self, kafka: Kafka) -> None:
        self._ends = LogEnds(kafka)
        self._kafka = kafka
        self._next: dict[Partition, int] = {}
        self._records: list[Told] = []

    def records(self) -> list[Told]:
        """Return everything that is on the log now."""
        ends = self._ends.latest(_TOPICS)
        left = sum(ends.values()) - sum(self._next.values())
        consumer = Consumer({**self._kafka.client(), "group.id": "seen", "enable.auto.commit": False, "log_level": 0})
        try:
            consumer.assign(
                [TopicPartition(*place, self._next.get(place, 0)) for place, end in ends.items() if self._next.get(place, 0) < end]
            )
            while left > 0:
                batch = consumer.consume(left, timeout=KAFKA_ANSWERS_S)
                assert batch, "records that are there did not come"
                left -= len(batch)
                self._records += [_told(message) for message in batch]
        finally:
            consumer.close()
        self._next = ends
        return self._records


def _told(message: Message) -> Told:
    value, (_, appended_ms) = message.value() or b"", message.timestamp()
    place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
    return Told(*place, message.key() or b"", appended_ms * 1000, value, stranger.record_name(value), stranger.decode(value))


@cache
def _seen(kafka: Kafka) -> _Seen:
    return _Seen(kafka)


@cache
def _event(raw: bytes) -> Event:
    return CODEC.decode(raw)


class Office:
    """One database with its desk and its relay."""

    def __init__(self, settings: Settings, name: str | None = None) -> None:
        self.settings = settings
        self.name = name or f"office_{secrets.token_hex(6)}"
        if name is None:
            self._administer("CREATE DATABASE {}", self.name)
        self.address = settings.database.replace("/hotline?", f"/{self.name}?")
        self.desk = Desk(IDENTITY, reference.load())
        self.around = Surroundings(settings.kafka_access, IDENTITY, CODEC, now_us)

    def copy(self, *, as_files: bool = False) -> "Office":
        """Return an office on a copy of the database as it is now; `as_files`: one that cannot be told from it by its server."""
        name = f"office_{secrets.token_hex(6)}"
        self._administer("CREATE DATABASE {} TEMPLATE {}", name, self.name)
        other = Office(self.settings, name)
        if as_files:
            other.run("UPDATE desk_memory SET database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())")
        return other

    def wake(self) -> int:
        """Let the desk look before deciding; return the era it is in."""
        with database.connect(self.address, "test-desk") as db:
            database.prepare(db, (self.desk,))
            eras.look_before_deciding(db, self.around, Flag())
            return memory.read(db).era

    def decide(self, parking: Collection[Place] = (), rule: str = "KeyError") -> None:
        """Let the desk settle every cause there is, and park those at the places `parking` by `rule`, as the loop does."""
        stretches = Stretches(self.settings.kafka_access, CODEC)
        try:
            with database.connect(self.address, "test-desk") as db:
                ids = topic_ids(self.settings.kafka_access, _CAUSES)
                ends = stretches.ends(*_CAUSES)
                held = {place: positions.claim(db, [_US], place, ids[place[0]])[_US] for place in ends}
                starts = {place: position.next_offset for place, position in held.items()}
                for batch in stretches.read(starts, ends):
                    moves = [Move(_US, place, held[place], records[-1].offset + 1, 1) for place, records in batch.items()]
                    with db.transaction():
                        positions.advance(db, moves)
                        records = [record for records in batch.values() for record in records]
                        self.desk.apply(db, [record for record in records if _place(record) not in parking])
                        self._park(db, [record for record in records if _place(record) in parking], rule)
                    held |= {move.partition: move.done() for move in moves}
        finally:
            stretches.close()

    def _park(self, db: Connection[Any], records: Sequence[Record], rule: str) -> None:
        if records:
            self.desk.park(db, records, rule)
            parked.add(db, [ParkedRecord(_US, *_place(r), r.key, r.appended_at, False, r.raw, "KeyError", 0) for r in records])

    def redrive(self, place: Place) -> None:
        """Try again what waits at a place, as the owner of its partition does."""
        with database.connect(self.address, "test-desk") as db, db.transaction():
            for row in db.execute(
                'DELETE FROM parked WHERE (topic, partition, "offset") = (%s, %s, %s) RETURNING key, raw', place
            ).fetchall():
                self.desk.apply(db, [Record(*place, bytes(row[0]), 0, bytes(row[1]), CODEC.decode(bytes(row[1])))])

    @contextmanager
    def relay(self) -> Iterator[Relay]:
        """A relay of this database, as its process makes it."""
        publisher = Publisher(self.settings.kafka_access, CODEC, "/tests", delivery_timeout_s=0)
        stretches = Stretches(self.settings.kafka_access, CODEC)
        try:
            with database.connect(self.address, "test-relay") as db:
                yield Relay(db, publisher, CODEC, Flag(), Announcements(stretches))
        finally:
            stretches.close()
            publisher.close()

    def publish_all(self) -> None:
        """Let the relay empty the outbox."""
        with self.relay() as relay:
            assert relay.may_publish()
            while relay.step():
                pass

    def publish_blindly(self) -> None:
        """Publish what waits as a relay does that has not noticed anything; delete nothing."""
        with self.relay() as relay:
            relay._publish([settled for _, settled in outbox.list_oldest(relay._db, 10_000)])

    def publish_some(self, decisions: int) -> None:
        """Publish the first so many decisions that wait, and nothing else, as a relay does that dies then."""
        with database.connect(self.address, "test") as db:
            waiting = [CODEC.decode(raw) for _, settled in outbox.list_oldest(db, 10_000) for raw in settled.records]
        publish(self.settings, [event for event in waiting if isinstance(event, Decision)][:decisions])

    def settle(self) -> None:
        """Decide and publish everything."""
        self.decide()
        self.publish_all()

    def numbers(self, places: Sequence[Place]) -> list[str]:
        """Return the tickets that causes opened."""
        return [d.number for outcome in self.outcomes_of(places) for d in outcome.decisions if d.version == 1]

    def be_busy(self) -> list[Place]:
        """Settle facts and commands of all kinds, repeats too; return their places."""
        said = a_bit_of_everything()
        places = publish(self.settings, said)
        self.settle()
        numbers = self.numbers(places)
        orders: list[Event] = [command("take", number, event_id=new_id()) for number in numbers]
        orders += [
            command("close", numbers[0], expected_version=1, event_id=new_id()),
            command("take", "RU-2000-000009", event_id=new_id()),
        ]
        more = publish(self.settings, [*orders, orders[0], said[0]])
        self.settle()
        return [*places, *more]

    @contextmanager
    def looker(self) -> Iterator[Looker]:
        """One that looks at this database, as the watch of a working desk makes it."""
        with database.connect(self.address, "test-watch") as db, closing(Stretches(self.settings.kafka_access, CODEC)) as stretches:
            yield Looker(db, stretches, topic_ids(self.settings.kafka_access, (TICKETS, OUTCOMES)), now_us)

    def look(self) -> None:
        """Look once as a working desk does."""
        with self.looker() as looker:
            looker.look()

    def run(self, statement: str) -> None:
        """Run one statement."""
        with psycopg.connect(self.address, autocommit=True) as db:
            db.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with psycopg.connect(self.address) as db:
            return db.execute(query).fetchall()

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what the desk remembers, without what only tells when and in which order it learnt it."""
        return {
            "contacts": self.rows("SELECT * FROM desk_contact ORDER BY contact_id"),
            "tickets": self.rows("SELECT * FROM desk_ticket ORDER BY number"),
            "causes": self.rows("SELECT * FROM desk_cause ORDER BY event_id"),
            "counters": self.rows("SELECT * FROM desk_counter WHERE last > 0 ORDER BY prefix, year"),
        }

    def era(self) -> int:
        """Return the era that the desk is in."""
        return int(self.rows("SELECT era FROM desk_memory")[0][0])

    def waiting(self) -> int:
        """Return how many rows the outbox holds."""
        return int(self.rows("SELECT count(*) FROM outbox")[0][0])

    def outcomes_of(self, places: Sequence[Place]) -> list[CauseSettled]:
        """Return the outcomes of causes that count."""
        found: dict[Place, CauseSettled] = {}
        for said in self.events(OUTCOMES):
            if isinstance(said, CauseSettled) and ((known := found.get(_cause(said))) is None or supersedes(said, known)):
                found[_cause(said)] = said
        return [found[place] for place in places]

    def events(self, topic: str) -> list[Event]:
        """Return what counts on a topic, in the order of each partition."""
        return [_event(r.value) for r in invariants.valid(_seen(self.settings.kafka_access).records()) if r.topic == topic]

    def _administer(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.settings.database, autocommit=True) as db:
            db.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def wrong_on_the_log(settings: Settings) -> list[str]:
    """Return what is lost, doubled, out of order or without its one outcome, among the records that count."""
    evidence = Evidence(_seen(settings.kafka_access).records(), "", History())
    checks = (invariants.disordered, invariants.numbers, invariants.outcomes)
    return [*invariants.forks(invariants.valid(evidence.records)), *(line for check in checks for line in check(evidence))]


def _place(record: Record) -> Place:
    return Place(record.topic, record.partition, record.offset)


def supersedes(said: CauseSettled, known: CauseSettled) -> bool:
    """Say whether a later outcome counts instead of a known one."""
    return said.era > known.era or (said.result not in (known.result, "parked"))


def _cause(outcome: CauseSettled) -> Place:
    return Place(outcome.cause_topic, outcome.cause_partition, outcome.cause_offset)

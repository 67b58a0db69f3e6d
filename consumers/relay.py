"""The relay: publishes what the desk decided, in order per ticket, then the outcomes, then deletes them from the outbox.

Only one relay works at a time. It may publish a row twice (killed between the acknowledgement and the deletion); readers drop repeats by
id and version. A local time-out would leave a gap in a ticket's order, so its records never time out.
"""

from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from threading import Event as Flag
from typing import Any

import structlog
from psycopg import Connection, OperationalError

from consumers import outbox
from consumers.desk.desk import SOURCE
from consumers.outbox import Settled
from events.envelope import Decision, Event
from events.outcomes import CauseSettled, DecisionPlace
from events.places import Place
from events.settings import Settings
from events.wire.codec import Codec, Encoded, load_codec
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher
from projectors import database

BATCH_ROWS = 1_000
NEVER_S = 0.0  # how long a record may wait for Kafka: for ever
_WAKE_EVERY_S = 0.5
_RETRY_WAIT_S = 0.5
FROZEN_AFTER_S = 10  # a relay that says nothing for so long loses its lock to an heir
_ONLY_ONE = 4_717_002  # key of the advisory lock that the working relay holds

log = structlog.get_logger()


class Stopped(Exception):
    """The process was asked to stop while Kafka had not answered yet; the outbox still holds everything."""


class Relay:
    """Empties the outbox of one database into one Kafka."""

    def __init__(self, db: Connection[Any], publisher: Publisher, codec: Codec, stop: Flag) -> None:
        self._db, self._publisher, self._codec, self._stop = db, publisher, codec, stop

    def work(self) -> None:
        """Wait for the lock that one relay holds, then publish until `stop` is set."""
        self._db.execute(f"LISTEN {outbox.CHANNEL}")
        while not self._stop.is_set() and not self._try_lock():
            self._stop.wait(_WAKE_EVERY_S)
        while not self._stop.is_set():
            if self.step() == 0:
                self._sleep()

    def step(self) -> int:
        """Publish the oldest rows and delete them; return how many there were."""
        rows = outbox.list_oldest(self._db, BATCH_ROWS)
        if rows:
            self._publish([settled for _, settled in rows])
            outbox.delete(self._db, [number for number, _ in rows])
        return len(rows)

    def _publish(self, batch: Sequence[Settled]) -> None:
        events = [[self._codec.decode(raw) for raw in settled.records] for settled in batch]
        answers = [[self._publisher.submit(event) for event in own] for own in events]
        self._wait_for([answer for own in answers for answer in own])
        outcomes = [
            self._publisher.submit_encoded(self._outcome(settled, own, places), settled.cause_partition)
            for settled, own, places in zip(batch, events, answers, strict=True)
        ]
        self._wait_for(outcomes)

    def _outcome(self, settled: Settled, events: Sequence[Event], answers: "Sequence[Future[Place]]") -> Encoded:
        """Complete the outcome of a cause with the places its decisions got."""
        outcome = self._codec.decode(settled.outcome)
        assert isinstance(outcome, CauseSettled), "the desk puts outcomes there"
        decided = [
            DecisionPlace(number=event.number, version=event.version, partition=answer.result().partition, offset=answer.result().offset)
            for event, answer in zip(events, answers, strict=True)
            if isinstance(event, Decision)
        ]
        return self._codec.encode(replace(outcome, decisions=tuple(decided)), SOURCE)

    def _wait_for(self, answers: "Sequence[Future[Place]]") -> None:
        """Wait until Kafka has acknowledged all; raise what any of them failed with."""
        pending: set[Future[Place]] = set(answers)
        while pending:
            done, pending = wait(pending, timeout=_WAKE_EVERY_S)
            for answer in done:
                answer.result()
            if pending and self._stop.is_set():
                raise Stopped
            self._db.execute("SELECT 1")  # we are awake: the session, and with it our lock, lives on

    def _sleep(self) -> None:
        for _ in self._db.notifies(timeout=_WAKE_EVERY_S, stop_after=1):
            pass

    def _try_lock(self) -> bool:
        row = self._db.execute("SELECT pg_try_advisory_lock(%s)", [_ONLY_ONE]).fetchone()
        return bool(row and row[0])


def run(settings: Settings, stop: Flag) -> None:
    """Be the relay until `stop` is set; after any failure begin again from the outbox with a new producer."""
    codec = load_codec()
    while not stop.is_set():
        publisher = Publisher(settings.kafka_address, codec, SOURCE, delivery_timeout_s=NEVER_S, renews=False)
        try:
            with database.connect(settings.database, "relay") as db:
                db.execute(f"SET idle_session_timeout = '{FROZEN_AFTER_S}s'")
                database.make_tables(db, outbox.DDL)
                Relay(db, publisher, codec, stop).work()
        except Stopped:
            log.info("stopped before Kafka had answered")
        except (OperationalError, NotTaken, OutcomeUnknown) as failure:
            log.warning("coming back", because=type(failure).__name__)
            stop.wait(_RETRY_WAIT_S)
        finally:
            publisher.close(timeout_s=_RETRY_WAIT_S)

"""The relay: publishes what the desk decided, in order per ticket, then the outcomes, then deletes them from the outbox.

Only one relay works at a time. It may publish a row twice (killed between the acknowledgement and the deletion); readers drop repeats by
id and version. A local time-out would leave a gap in a ticket's order, so its records never time out. It publishes only from tables that a
desk has looked at since their server was started, and stops for good when another database has taken over.
"""

from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import replace
from threading import Event as Flag
from time import monotonic
from typing import Any

import structlog
from psycopg import Connection, OperationalError

from consumers import only_one, outbox
from consumers.desk import memory
from consumers.desk.away import Away, name_of
from consumers.desk.desk import SOURCE, now_us
from consumers.desk.memory import Superseded
from consumers.desk.stretch import Announcements, Stretches, Unreachable
from consumers.outbox import Settled
from events.crash_points import reached
from events.envelope import Decision, Event
from events.outcomes import CauseSettled, DecisionPlace
from events.places import Place
from events.settings import Settings
from events.wire.codec import Codec, Encoded, load_codec
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher
from projectors import database
from projectors.positions import Fenced

BATCH_ROWS = 1_000
NEVER_S = 0.0  # how long a record may wait for Kafka: for ever
_WAKE_EVERY_S = 0.5
_LOOK_EVERY_S = 1.0  # for an era of another database
_RETRY_WAIT_S = 0.5
_ONLY_ONE = 4_717_002  # key of the advisory lock that the working relay holds

log = structlog.get_logger()


class Stopped(Exception):
    """The process was asked to stop while Kafka had not answered yet; the outbox still holds everything."""


class Relay:
    """Empties the outbox of one database into one Kafka."""

    def __init__(
        self, db: Connection[Any], publisher: Publisher, codec: Codec, stop: Flag, announcements: Announcements | None = None
    ) -> None:
        """Without `announcements` nothing tells of other databases but the desk's own memory."""
        self._db, self._publisher, self._codec, self._stop = db, publisher, codec, stop
        self._announcements, self._looked_s = announcements, -_LOOK_EVERY_S
        self._away = Away("relay")
        self._server = memory.server_of(db)

    def work(self) -> None:
        """Wait for the lock that one relay holds, then publish until `stop` is set. Raises Superseded."""
        self._db.execute(f"LISTEN {outbox.CHANNEL}")
        while not self._stop.is_set() and not self._try_lock():
            self._stop.wait(_WAKE_EVERY_S)
        while not self._stop.is_set():
            if not self.may_publish() or self.step() == 0:
                self._sleep()

    def may_publish(self) -> bool:
        """Say whether a desk has looked at these tables, so that what waits in them is not an older copy's. Raises Superseded."""
        held = memory.read(self._db)
        if held.superseded_by is not None:
            raise Superseded(held.superseded_by)
        if held.opening is not None or (held.server, held.looked_at) != self._server:
            return False
        return self._announcements is None or self._is_the_latest(self._announcements, held.era)

    def _is_the_latest(self, announcements: Announcements, era: int) -> bool:
        """Look now and then whether another database has taken over. While Kafka does not answer, what was seen last counts."""
        if monotonic() - self._looked_s >= _LOOK_EVERY_S:
            try:
                announced = announcements.look()
            except Unreachable as away:
                self._away.met(away)
                return self._looked_s > 0
            if announced > era:
                by = memory.note_superseded(self._db, announced, now_us())
                if by is None:
                    return False  # a desk of this database has just marked its own era
                raise Superseded(by)
            self._away.over()
            self._looked_s = monotonic()
        return True

    def step(self) -> int:
        """Publish the oldest rows and delete them; return how many there were."""
        era = memory.read(self._db).era
        rows = outbox.list_oldest(self._db, BATCH_ROWS)
        if rows:
            reached("relay.before_publish")
            self._publish([settled for _, settled in rows])
            self._delete([number for number, _ in rows], era)
        return len(rows)

    def _delete(self, numbers: Sequence[int], era: int) -> None:
        """Delete what is published, unless an era was opened meanwhile: then some of it may be void, and the desk says it anew."""
        with self._db.transaction():
            if memory.hold(self._db).era != era:
                raise Fenced("an era was opened while the relay published")
            reached("relay.before_delete")
            outbox.delete(self._db, numbers)

    def _publish(self, batch: Sequence[Settled]) -> None:
        events = [[self._codec.decode(raw) for raw in settled.records] for settled in batch]
        answers = [[self._publisher.submit(event) for event in own] for own in events]
        self._wait_for([answer for own in answers for answer in own])
        reached("relay.decisions_acknowledged")
        outcomes = [
            self._publisher.submit_encoded(self._outcome(settled, own, places), settled.cause_partition)
            for settled, own, places in zip(batch, events, answers, strict=True)
        ]
        self._wait_for(outcomes)
        reached("relay.outcomes_acknowledged")

    def _outcome(self, settled: Settled, events: Sequence[Event], answers: "Sequence[Future[Place]]") -> Encoded:
        """Complete the outcome of a cause with the places its decisions got."""
        outcome = self._codec.decode(settled.outcome)
        assert isinstance(outcome, CauseSettled), "the desk puts outcomes there"
        decided = [
            DecisionPlace(number=event.number, version=event.version, partition=answer.result().partition, offset=answer.result().offset)
            for event, answer in zip(events, answers, strict=True)
            if isinstance(event, Decision)
        ]
        return self._codec.encode(replace(outcome, decisions=outbox.completed(outcome, decided)), SOURCE)

    def _wait_for(self, answers: "Sequence[Future[Place]]") -> None:
        """Wait until Kafka has acknowledged all; raise what any of them failed with."""
        pending: set[Future[Place]] = set(answers)
        while pending:
            done, pending = wait(pending, timeout=_WAKE_EVERY_S)
            for answer in done:
                answer.result()
            if pending and self._stop.is_set():
                raise Stopped
            only_one.stay(self._db)

    def _sleep(self) -> None:
        for _ in self._db.notifies(timeout=_WAKE_EVERY_S, stop_after=1):
            pass

    def _try_lock(self) -> bool:
        return only_one.try_lock(self._db, _ONLY_ONE)


def _stay(db: Connection[Any], stop: Flag) -> None:
    """Keep our lock while Kafka is waited for; raise Stopped when asked to stop."""
    only_one.stay(db)
    if stop.is_set():
        raise Stopped


def run(settings: Settings, stop: Flag) -> None:
    """Be the relay until `stop` is set; after any failure begin again from the outbox with a new producer. Raises Superseded."""
    codec = load_codec()
    while not stop.is_set():
        publisher = Publisher(settings.kafka_access, codec, SOURCE, delivery_timeout_s=NEVER_S, renews=False)
        try:
            with database.connect(settings.database, "relay") as db:
                only_one.end_when_frozen(db)
                database.make_tables(db, outbox.DDL + ";" + memory.DDL)
                with closing(Stretches(settings.kafka_access, codec, lambda: _stay(db, stop))) as stretches:
                    Relay(db, publisher, codec, stop, Announcements(stretches)).work()
        except Stopped:
            log.info("stopped before Kafka had answered")
        except Superseded as superseded:
            log.error("stopping", because="Superseded", detail=str(superseded))
            raise
        except (OperationalError, NotTaken, OutcomeUnknown, Fenced, Unreachable) as failure:
            log.warning("coming back", because=name_of(failure))
            stop.wait(_RETRY_WAIT_S)
        finally:
            publisher.close(timeout_s=_RETRY_WAIT_S)

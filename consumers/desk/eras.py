"""The desk's way back: does the log know more than the tables do, and what then? Asked at each connection, before anything is decided.

Another server than the one remembered, or a decision that the tables do not know, means that they were lost, restored or left behind. Then
an era is opened: marks make void whatever a relay on the lost tables still publishes, and what was valid before them is folded into the
tables. Each step is stored before the next, so that a desk that dies goes on where it stopped. Several desks wait for the one that looks;
one that is frozen meanwhile loses its session, and its heir goes on.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from threading import Event as Flag
from typing import Any

import structlog
from psycopg import Connection

from consumers import only_one, outbox
from consumers.desk import history, memory, recalled
from consumers.desk.envelopes import Envelopes
from consumers.desk.memory import Memory, Superseded
from consumers.desk.recall import ROWS_AT_ONCE, Recall, forget, list_pending
from consumers.desk.stretch import Announcements, Stretches
from consumers.kafka import topic_ids
from consumers.outbox import TO_COME, Settled
from events.crash_points import reached
from events.envelope import OUTCOMES, REFERENCE, TICKETS, Decision, Event
from events.identity import Identity
from events.outcomes import CauseSettled, EraOpened, MarkPlace
from events.places import Partition, Place
from events.wire.codec import Codec
from events.wire.kafka import Kafka
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher
from projectors.positions import Fenced

SOURCE = "/hotline/desk"
DELIVERY_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.5
_WAIT_LIMIT_S = 60.0  # for another desk that looks or opens an era
_ONE_LOOKS = 4_717_003  # key of the advisory lock
_CLAIM_BYTES = 16

log = structlog.get_logger()


class NotOpened(Fenced):
    """The era could not be opened now, or somebody else still is at it: come back."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a desk needs besides its database. `clock` tells microseconds since 1970 in UTC."""

    kafka: Kafka
    identity: Identity
    codec: Codec
    clock: Callable[[], int]


def look_before_deciding(db: Connection[Any], around: Surroundings, stop: Flag) -> None:
    """Make sure that the tables know what the log knows; open an era if they do not.

    Raises Superseded and EraClaimed when another database has taken over, and what cures itself: NotOpened, Unreachable.
    """

    def meanwhile() -> None:
        only_one.stay(db)
        if stop.is_set():
            raise NotOpened("the desk was asked to stop")

    ids = topic_ids(around.kafka, history.TOPICS)
    with _alone(db, stop), closing(Stretches(around.kafka, around.codec, meanwhile)) as stretches:
        _Look(db, around, stretches, ids).take()


@contextmanager
def _alone(db: Connection[Any], stop: Flag) -> Iterator[None]:
    """Wait until no other desk looks; at most a minute. Meanwhile the session may not be silent; afterwards it may."""
    only_one.end_when_frozen(db)
    end = time.monotonic() + _WAIT_LIMIT_S
    while not only_one.try_lock(db, _ONE_LOOKS):
        if stop.wait(_LOOK_EVERY_S) or time.monotonic() > end:
            raise NotOpened("another desk looks at these tables, or opens an era")
    try:
        yield
    finally:
        if not db.closed:
            only_one.unlock(db, _ONE_LOOKS)
            only_one.never_end(db)


class _Look:
    """One look at one database."""

    def __init__(self, db: Connection[Any], around: Surroundings, stretches: Stretches, ids: Mapping[str, str]) -> None:
        self._db, self._around, self._stretches, self._topic_ids = db, around, stretches, ids
        self._announcements = Announcements(stretches)
        self._server, self._started_at = memory.server_of(db)

    def take(self) -> None:
        """Look, and open an era if need be."""
        held = memory.read(self._db)
        if held.superseded_by is not None and held.server == self._server:
            raise Superseded(held.superseded_by)
        announced = self._announcements.look()
        if held.opening is None or held.server != self._server:
            why = self._why_open(held, announced)
            if why is None:
                memory.remember(self._db, self._server, self._started_at)
                return
            self._intend(held, announced, why)
        self._open()

    def _why_open(self, held: Memory, announced: int) -> str | None:
        """Return why these tables need an era of their own; None if they are what the log says."""
        if held.server is None:
            return "the tables are new" if any(self._stretches.ends(*history.TOPICS).values()) else None
        if held.server != self._server:
            return "the tables lie on another server"
        told = self._compare(held)
        if (above := max(told.era, announced)) > held.era:
            if (by := memory.note_superseded(self._db, above, self._around.clock())) is None:
                raise NotOpened("another desk of this database opens an era")
            raise Superseded(by)
        return "the log knows decisions that the tables do not" if told.unknown else None

    def _compare(self, held: Memory) -> history.Told:
        """Read what the tables have not seen to the end of the log, and hold it against them."""
        ends = self._stretches.ends(*history.TOPICS)
        waiting = history.greatest_waiting(self._db)
        known = history.places(self._db, list(ends), self._topic_ids)
        era, unknown = held.era, 0
        for batch in self._stretches.read(history.starts(known), ends):
            told = history.look(self._db, batch, known)
            era, unknown = max(era, told.era), unknown + told.unknown
            if not unknown and era == held.era and history.may_move(self._db, waiting):
                history.move(self._db, {partition: known[partition] for partition in batch}, self._topic_ids)
        return history.Told(era, unknown)

    def _intend(self, held: Memory, announced: int, why: str) -> None:
        era = max(held.era, held.opening or 0, announced) + 1
        with self._db.transaction():
            memory.lock(self._db)  # whoever decides or deletes from the outbox has finished
            if held.server is None:
                forget(self._db)
            memory.remember(self._db, self._server, self._started_at)
            memory.intend(self._db, era, secrets.token_bytes(_CLAIM_BYTES), self._around.clock())
        log.warning("an era will be opened", because=why, at_least=era)
        reached("era.intent_stored")

    def _open(self) -> None:
        held = memory.read(self._db)
        own_mark = self._mark(held).event_id
        list_pending(self._db, self._around.codec)
        recall = Recall(self._db, self._stretches, self._topic_ids, own_mark)
        recall.up_to(self._stretches.ends(*history.TOPICS))  # most of the way, and no number is final before all marks so far are seen
        announced = self._announcements.look()
        with self._db.transaction():
            self._still_ours(held)
            memory.raise_number(self._db, announced + 1)
            memory.fix_number(self._db)
            held = memory.read(self._db)
        reached("era.number_final")
        marks = self._write_marks(self._mark(held))
        reached("era.before_fold")
        recall.up_to({(mark.topic, mark.partition): mark.offset + 1 for mark in marks})
        self._say_anew(Envelopes(self._around.identity, 0, self._around.clock(), _opening(held)))
        reached("era.before_finishing")
        with self._db.transaction():
            self._still_ours(held)
            self._db.execute("TRUNCATE desk_pending, desk_pending_decision")
            memory.finish(self._db, self._started_at, self._around.clock())
            recalled.forget_when_empty(self._db)
        log.warning("an era is open", era=held.opening)

    def _still_ours(self, held: Memory) -> None:
        """Lock the memory; raise NotOpened unless the era that it opens is still the one in `held`."""
        now = memory.lock(self._db)
        if now.opening is None or now.claim != held.claim:
            raise NotOpened("another desk of this database has gone on with its era")

    def _mark(self, held: Memory) -> EraOpened:
        """Return the mark of the era that is being opened; its id tells whose it is."""
        return EraOpened(
            event_id=self._around.identity.event_id("era", held.claim),
            occurred_at=held.claimed_at,
            occurred_offset_min=0,
            received_at=held.claimed_at,
            recorded_at=held.claimed_at,
            era=_opening(held),
        )

    def _write_marks(self, mark: EraOpened) -> list[MarkPlace]:
        """Write a mark into every partition of the outcomes, then of the tickets, then announce it; return where the marks lie.

        The outcomes come first: an outcome that stands before its mark then names decisions that stand before theirs.
        """
        ends = self._stretches.ends(*history.TOPICS)
        publisher = Publisher(self._around.kafka, self._around.codec, SOURCE, delivery_timeout_s=DELIVERY_LIMIT_S)
        try:
            marks: list[MarkPlace] = []
            for topic in (OUTCOMES, TICKETS):
                partitions = sorted(partition for partition in ends if partition[0] == topic)
                marks += self._publish(publisher, mark, partitions)
                reached("era.outcomes_marked" if topic == OUTCOMES else "era.tickets_marked")
            self._publish(publisher, EraOpened(**_fields(mark), marks=tuple(marks)), [(REFERENCE, 0)])
            reached("era.announced")
        except (NotTaken, OutcomeUnknown, TimeoutError) as failure:
            raise NotOpened(f"Kafka did not take a mark: {type(failure).__name__}") from failure
        finally:
            publisher.close(_LOOK_EVERY_S)
        return marks

    def _publish(self, publisher: Publisher, mark: EraOpened, partitions: list[Partition]) -> list[MarkPlace]:
        answers = [publisher.submit_encoded(self._around.codec.encode(mark, SOURCE, topic=topic), number) for topic, number in partitions]
        return [_place(self._wait_for(answer)) for answer in answers]

    def _wait_for(self, answer: "Future[Place]") -> Place:
        """Wait for Kafka's answer and stay awake meanwhile."""
        end = time.monotonic() + 2 * DELIVERY_LIMIT_S
        while not wait([answer], _LOOK_EVERY_S).done:
            self._stretches.meanwhile()
            if time.monotonic() > end:
                raise TimeoutError
        return answer.result()

    def _say_anew(self, envelopes: Envelopes) -> None:
        """Go through the outbox: what is settled on the log leaves it, the rest is said in the new era, as far as it is not there yet."""
        after = -1
        while rows := outbox.list_after(self._db, after, ROWS_AT_ONCE):
            after = rows[-1][0]
            with self._db.transaction():
                self._say_rows_anew(rows, envelopes)

    def _say_rows_anew(self, rows: list[tuple[int, Settled]], envelopes: Envelopes) -> None:
        decode = self._around.codec.decode
        outcomes = {seq: outcome for seq, row in rows if isinstance(outcome := decode(row.outcome), CauseSettled)}
        old = {seq: o for seq, o in outcomes.items() if o.era != envelopes.era}  # the others were said anew before we were stopped
        known = recalled.find(self._db, [_cause(o) for o in old.values()], [o.cause_id for o in old.values()])
        published = [seq for seq, o in old.items() if _cause(o) in known.outcomes]
        changed: list[tuple[int, Settled]] = []
        for seq, row in rows:
            if seq not in old or seq in published:
                continue
            made = known.decisions.get(old[seq].cause_id, {})
            events = [decode(raw) for raw in row.records]
            missing = [e for e in events if not (isinstance(e, Decision) and e.cause_ordinal in made)]
            places = tuple(made[e.cause_ordinal].place if e.cause_ordinal in made else TO_COME for e in events if isinstance(e, Decision))
            records = [self._encode(envelopes.decision_anew(e) if isinstance(e, Decision) else e) for e in missing]
            changed.append(
                (seq, Settled(row.cause_partition, records, self._encode(envelopes.outcome_anew(old[seq], places if made else ()))))
            )
        outbox.replace(self._db, changed)
        outbox.delete(self._db, published)
        settled = [o for o in old.values() if o.result != "parked"]  # what waits parked is looked up when it is tried again
        recalled.take_out(self._db, [_cause(o) for o in settled], [o.cause_id for o in settled])

    def _encode(self, event: Event) -> bytes:
        return self._around.codec.encode(event, SOURCE).value


def _opening(held: Memory) -> int:
    """Return the era that is being opened."""
    if held.opening is None:
        raise NotOpened("another desk of this database has opened the era, or given it up")
    return held.opening


def _cause(outcome: CauseSettled) -> Place:
    return Place(outcome.cause_topic, outcome.cause_partition, outcome.cause_offset)


def _place(place: Place) -> MarkPlace:
    return MarkPlace(topic=place.topic, partition=place.partition, offset=place.offset)


def _fields(mark: EraOpened) -> dict[str, Any]:
    names = ("event_id", "occurred_at", "occurred_offset_min", "received_at", "recorded_at", "era")
    return {name: getattr(mark, name) for name in names}

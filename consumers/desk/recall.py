"""The log folded into the desk's tables while an era is opened: tickets and counters at once, causes kept until they come by.

Only what counts is folded: records of ended eras are void. Where tables and log contradict each other the tables are forgotten and all is
folded from the log's beginning. Moves its positions in the transaction of the rows, so that it goes on where it was stopped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from psycopg import Connection

from consumers import outbox
from consumers.batches import judge
from consumers.desk import history, life, memory, numbers, recalled, store
from consumers.desk.history import ReadTo
from consumers.desk.life import Ticket
from consumers.desk.memory import Superseded
from consumers.desk.stretch import Ends, Stretches
from events.envelope import TICKETS, Decision
from events.numbers import is_number
from events.outcomes import CauseSettled, EraOpened
from events.places import Partition
from events.tickets import TicketRegistered
from events.wire.codec import Codec
from projectors.model import VersionHole
from projectors.positions import Fenced
from projectors.record import Record

ROWS_AT_ONCE = 1_000
_DECIDES_OWNER = (TICKETS, 0)  # the first mark of an era here says whose it is

log = structlog.get_logger()


class EraClaimed(Exception):
    """Another desk on another database opens the same era and was first: this one must stop. Call a person."""


class Contradiction(Exception):
    """The tables say something else than the log: forget them."""


class Recall:
    """Folds the log into the tables of one database; `own_mark` is the id of the marks that this database writes."""

    def __init__(self, db: Connection[Any], stretches: Stretches, topic_ids: Mapping[str, str], own_mark: bytes) -> None:
        self._db, self._stretches, self._topic_ids, self._own_mark = db, stretches, topic_ids, own_mark

    def up_to(self, ends: Ends) -> None:
        """Fold everything before `ends`. Raises EraClaimed, Superseded, VersionHole, and what cures itself: Fenced, Unreachable."""
        try:
            self._read(ends)
        except Contradiction as found:
            log.warning("the desk's tables contradict the log and are forgotten", what=str(found))
            with self._db.transaction():
                memory.lock(self._db)
                forget(self._db)
            try:
                self._read(ends)
            except Contradiction as again:
                raise VersionHole(f"the log contradicts itself: {again}") from None

    def _read(self, ends: Ends) -> None:
        known = history.places(self._db, list(ends), self._topic_ids)
        for batch in self._stretches.read(history.starts(known), ends):
            with self._db.transaction():
                marks: list[tuple[Partition, EraOpened]] = []
                valid: list[Record] = []
                for partition, records in batch.items():
                    era, judged = judge(records, known[partition].era)
                    known[partition] = ReadTo(records[-1].offset + 1, era)
                    valid += [record for record in judged if not record.void]
                    marks += [(partition, mark) for mark in history.marks_in(records)]
                    numbers.count_past(self._db, _registered(records))  # void ones too: somebody may have seen them
                self._fold([record for record in valid if isinstance(record.event, Decision)])
                recalled.keep_outcomes(self._db, [r.event for r in valid if isinstance(r.event, CauseSettled)])
                superseded = self._heed(marks)
                history.move(self._db, {partition: known[partition] for partition in batch}, self._topic_ids)
            if superseded:
                raise superseded

    def _fold(self, decisions: Sequence[Record]) -> None:
        events = [r.event for r in decisions if isinstance(r.event, Decision)]
        if not events:
            return
        tickets = store.lock_tickets(self._db, {e.number for e in events})
        self._compare(events)
        changed: dict[str, Ticket] = {}
        unknown: set[bytes] = set()
        for decision in events:
            ticket = tickets.get(decision.number)
            seen = ticket.version if ticket else 0
            if decision.version <= seen:
                continue
            if decision.version > seen + 1:
                raise Contradiction(f"{decision.number}: version {decision.version} after {seen}")
            tickets[decision.number] = changed[decision.number] = life.evolve(ticket, decision)
            unknown.add(decision.cause_id)
        if store.find_causes(self._db, unknown):
            raise Contradiction("a cause that is settled led to other decisions")
        store.save_tickets(self._db, changed)
        recalled.keep_decisions(self._db, decisions)

    def _compare(self, events: Sequence[Decision]) -> None:
        """Hold the log's decisions against those that wait in the outbox: one cause, one number, one version."""
        rows = self._db.execute(
            "SELECT number, version, cause_id, ordinal FROM desk_pending_decision WHERE number = ANY(%s) OR cause_id = ANY(%s)",
            [list({e.number for e in events}), list({e.cause_id for e in events})],
        ).fetchall()
        if not rows:
            return
        by_version = {(number, version): (bytes(cause), ordinal) for number, version, cause, ordinal in rows}
        by_cause = {cause: version for version, cause in by_version.items()}
        for e in events:
            version, cause = (e.number, e.version), (e.cause_id, e.cause_ordinal)
            if by_version.get(version, cause) != cause or by_cause.get(cause, version) != version:
                raise Contradiction(f"{e.number}: version {e.version} has another cause")

    def _heed(self, marks: Sequence[tuple[Partition, EraOpened]]) -> Exception | None:
        """Learn from marks of eras: a number that is taken, an era that was claimed before us, one that is above ours."""
        held = memory.read(self._db)
        if held.opening is None:
            raise Fenced("another desk of this database has gone on with its era")
        if not held.marked:
            memory.raise_number(self._db, max((mark.era + 1 for _, mark in marks), default=0))
            return None
        if above := [mark for _, mark in marks if mark.era > held.opening]:
            memory.give_up_opening(self._db, held.opening, above[0].era, above[0].recorded_at)
            return Superseded(above[0].era)
        claims = [mark for partition, mark in marks if mark.era == held.opening and partition == _DECIDES_OWNER]
        if claims and held.won is None:
            memory.note_won(self._db, claims[0].event_id == self._own_mark)
            if claims[0].event_id != self._own_mark:
                memory.give_up_opening(self._db, held.opening, held.opening, claims[0].recorded_at)
                return EraClaimed(f"era {held.opening} belongs to the desk of another database, which was first: stop one of the two")
        return None


def forget(db: Connection[Any]) -> None:
    """Forget all that the log can tell again, the outbox too: nobody was told of what is in it."""
    db.execute(
        """
        TRUNCATE desk_contact, desk_ticket, desk_cause, desk_counter, desk_history, desk_recalled_decision, desk_recalled_outcome,
            desk_pending, desk_pending_decision, outbox
        """
    )
    for table in ("position", "parked", "redrive_request"):
        db.execute(f"DELETE FROM {table} WHERE consumer = %s", [recalled.CONSUMER])  # noqa: S608 - our own names


def list_pending(db: Connection[Any], codec: Codec) -> None:
    """Put down which causes and decisions the outbox holds, a bounded number at a time."""
    db.execute("TRUNCATE desk_pending, desk_pending_decision")
    after = -1
    while rows := outbox.list_after(db, after, ROWS_AT_ONCE):
        after = rows[-1][0]
        outcomes = [codec.decode(settled.outcome) for _, settled in rows]
        decisions = [codec.decode(raw) for _, settled in rows for raw in settled.records]
        with db.transaction(), db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO desk_pending VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [(o.cause_topic, o.cause_partition, o.cause_offset) for o in outcomes if isinstance(o, CauseSettled)],
            )
            cursor.executemany(
                "INSERT INTO desk_pending_decision VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [(d.number, d.version, d.cause_id, d.cause_ordinal) for d in decisions if isinstance(d, Decision)],
            )


def _registered(records: Sequence[Record]) -> list[str]:
    return [r.event.number for r in records if isinstance(r.event, TicketRegistered) and is_number(r.event.number)]

"""Makes the rows of one ticket again from the log, with the model's own rules, beside the projector that goes on working.

Most of the log is read before anything is locked. Then the position of the model's serving build in the ticket's partition is locked, so
that its projector waits; what came since is read, the ticket's rows are replaced by what its records up to exactly that position make,
and all of it is committed at once. What waits parked stays parked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from psycopg import Connection, OperationalError, sql
from psycopg.errors import LockNotAvailable

from consumers.batches import judge
from consumers.drift.log import Log, Raw
from consumers.parking import reason_of
from events.envelope import TICKETS
from events.places import Partition
from projectors import audit_log, builds, contacts, retention, ticket_status, ticket_versions
from projectors.builds import Build
from projectors.model import ReadModel
from projectors.positions import FIRST_ERA, TopicReplaced
from projectors.record import Record

MOST_RECORDS = 100_000  # of one ticket
_MOST_UNDER_LOCK = 2_000  # records read while the projector waits
_TRIES = 10
_LOCK_WAIT_MS = 2_000

log = structlog.get_logger()


class CannotRepair(Exception):
    """The rows stay as they are; says why."""


class _NotYet(Exception):
    """Too much came since we read: let go of the lock, read on, try again."""


class Repaired(NamedTuple):
    """What one repair did to one model."""

    model: str
    records: int  # the rows were made from
    removed: int  # rows


def _by_number(table: str) -> Callable[[Connection[Any], str, "_Life"], int]:
    query = sql.SQL("DELETE FROM {} WHERE number = %s").format(sql.Identifier(table))
    return lambda db, number, _: db.execute(query, [number]).rowcount


def _forget_versions(db: Connection[Any], number: str, life: "_Life") -> int:
    partition, offsets = life.places()
    query = sql.SQL('DELETE FROM {} WHERE number = %s OR (partition = %s AND "offset" = ANY(%s))')
    return db.execute(query.format(sql.Identifier(ticket_versions.TABLE.name)), [number, partition, offsets]).rowcount


def _forget_ties(db: Connection[Any], number: str, life: "_Life") -> int:
    ids = [record.event.event_id for record in life.records if record.event is not None]
    query = sql.SQL("DELETE FROM {} WHERE number = %s OR event_id = ANY(%s)").format(sql.Identifier(contacts.TICKET_TABLE.name))
    return db.execute(query, [number, ids]).rowcount


def _forget_audit(db: Connection[Any], number: str, life: "_Life") -> int:
    partition, offsets = life.places()
    query = sql.SQL('DELETE FROM {} WHERE topic = %s AND (subject = %s OR (partition = %s AND "offset" = ANY(%s)))')
    return db.execute(query.format(sql.Identifier(audit_log.TABLE.name)), [TICKETS, number, partition, offsets]).rowcount


#: How the rows of one ticket are taken out of each model; its own `apply` makes them again.
FORGET: Mapping[str, Callable[[Connection[Any], str, "_Life"], int]] = {
    "ticket_status": _by_number(ticket_status.TABLE.name),
    "ticket_versions": _forget_versions,
    "retention": _by_number(retention.TICKET_TABLE.name),
    "contacts": _forget_ties,
    "audit_log": _forget_audit,
}


@dataclass
class _Life:
    """The records of one ticket, and the marks of eras among them, in the order of their one partition."""

    key: bytes = field(repr=False)
    partition: int | None = None
    records: list[Record] = field(default_factory=list)
    read_to: dict[Partition, int] = field(default_factory=dict)

    def places(self) -> tuple[int | None, list[int]]:
        return self.partition, [record.offset for record in self.records if record.key == self.key]

    def up_to(self, past: int) -> "_Life":
        return _Life(self.key, self.partition, [r for r in self.records if r.partition == self.partition and r.offset < past])


class Repair:
    """The repair of one ticket: reads its life once, then makes the rows of one model after the other."""

    def __init__(self, log: Log, db: Connection[Any], number: str) -> None:
        self._log, self._db, self._number = log, db, number
        self._life = _Life(number.encode())
        self._topic_id = log.topic_ids([TICKETS])[TICKETS]

    def make_again(self, model: ReadModel) -> Repaired:
        """Replace the ticket's rows of the serving build of `model`.

        Raises CannotRepair, and what the log and the database raise when they are away or not what was read.
        """
        build = self._serving(model)
        self._read_on(_list_positions(self._db, build, self._topic_id))
        for _ in range(_TRIES):
            try:
                return self._replace(model, build)
            except _NotYet:
                self._read_on(_list_positions(self._db, build, self._topic_id))
            except LockNotAvailable:
                continue
        raise CannotRepair(f"{model.name}: the projector moves too fast or holds its position; try again")

    def _serving(self, model: ReadModel) -> Build:
        serving = [build for build in builds.list_builds(self._db, [model.name]) if build.serving]
        if not serving:
            raise CannotRepair(f"{model.name} was not built yet")
        if serving[0].version != model.version:
            raise CannotRepair(f"{model.name}: version {serving[0].version} serves, this program holds the rules of {model.version}")
        return serving[0]

    def _replace(self, model: ReadModel, build: Build) -> Repaired:
        """Lock, read what came since, replace: one transaction."""
        with self._db.transaction():
            self._db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_WAIT_MS)))
            ends = _lock(self._db, build, self._life.partition)
            if sum(max(0, past - self._life.read_to.get(place, 0)) for place, past in ends.items()) > _MOST_UNDER_LOCK:
                raise _NotYet
            before = self._life.partition
            self._read_on(ends)
            if before != self._life.partition:
                raise _NotYet  # now we know which position is to be locked
            life = self._life.up_to(ends.get((TICKETS, self._life.partition or 0), 0))
            records = self._counting(model, build, life)
            builds.look_into(self._db, [build])
            removed = FORGET[model.name](self._db, self._number, life)
            _apply(self._db, model, records)
        builds.look_into(self._db, [])
        log.info("repaired", model=model.name, ticket=self._number, records=len(records), removed=removed)
        return Repaired(model.name, len(records), removed)

    def _counting(self, model: ReadModel, build: Build, life: _Life) -> list[Record]:
        """Return the records that the rows are made of: what the projector would have handed to the model."""
        waits = self._db.execute(
            'SELECT min("offset") FROM parked WHERE consumer = %s AND topic = %s AND partition = %s AND key = %s',
            [build.consumer, TICKETS, life.partition, life.key],
        ).fetchone()
        first = None if waits is None else waits[0]
        _, judged = judge(life.records, FIRST_ERA)
        own = [r for r in judged if r.key == life.key and (first is None or r.offset < first)]
        return own if model.wants_all else [r for r in own if r.event is not None and not r.void]

    def _read_on(self, ends: Mapping[Partition, int]) -> None:
        """Read each partition from where we stopped up to `ends`, keeping what is the ticket's."""
        for place, past in ends.items():
            first = self._life.read_to.get(place, 0)
            if first < past:
                self._keep(place, self._log.read(place, first, past))
                self._life.read_to[place] = past

    def _keep(self, place: Partition, raws: Iterable[Raw]) -> None:
        life = self._life
        for raw in raws:
            if raw.key != life.key and not self._log.marks_an_era(raw):
                continue
            if raw.key == life.key:
                if life.partition not in (None, place[1]):
                    raise CannotRepair("its records lie in several partitions: see hotline doctor")
                life.partition = place[1]
            event = self._log.event_of(TICKETS, raw)
            why = "" if event is not None else "not readable"
            life.records.append(Record(*place, raw.offset, raw.key, raw.appended_at, raw.value, event, why))
            if len(life.records) > MOST_RECORDS:
                raise CannotRepair(f"it has more than {MOST_RECORDS} records")


def _apply(db: Connection[Any], model: ReadModel, records: Sequence[Record]) -> None:
    try:
        model.apply(db, records)
    except OperationalError:
        raise
    except Exception as failure:
        raise CannotRepair(f"{model.name}: its own rules fail on the ticket's records: {reason_of(failure)}") from failure


def _list_positions(db: Connection[Any], build: Build, topic_id: str) -> dict[Partition, int]:
    rows = db.execute(
        "SELECT topic, partition, next_offset, topic_id FROM position WHERE consumer = %s AND topic = %s ORDER BY partition",
        [build.consumer, TICKETS],
    ).fetchall()
    if any(stored != topic_id for _, _, _, stored in rows):
        raise TopicReplaced(f"{TICKETS}: the positions of {build.consumer} belong to another topic")
    return {(topic, partition): next_offset for topic, partition, next_offset, _ in rows}


def _lock(db: Connection[Any], build: Build, partition: int | None) -> dict[Partition, int]:
    """Lock the position of the ticket's partition, or of all while the log holds no record of it; return what they say."""
    rows: Sequence[tuple[str, int, int]] = db.execute(
        """
        SELECT topic, partition, next_offset FROM position
        WHERE consumer = %(consumer)s AND topic = %(topic)s AND (%(partition)s::int IS NULL OR partition = %(partition)s)
        ORDER BY partition FOR UPDATE
        """,
        {"consumer": build.consumer, "topic": TICKETS, "partition": partition},
    ).fetchall()
    return {(topic, number): next_offset for topic, number, next_offset in rows}

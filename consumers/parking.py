"""What happens to a record that its handler fails on: it is parked, and later ones of its key behind it, while all others flow.

A share that fails as a whole is tried again in halves, in the order of the log, until the records that fail stand alone. Only the owner of
a partition parks and tries again, inside the transaction that moves or holds its position. Too much to park is no poison but a fault of
ours: then the consumer stops.
"""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import structlog
from psycopg import Connection, DataError, IntegrityError, InternalError, OperationalError, ProgrammingError

from events.numbers import is_number
from events.places import Partition
from events.reference import Parking
from events.wire.codec import Codec, Undecodable
from projectors import parked
from projectors.model import Fork, ReadModel, VersionHole
from projectors.parked import BEHIND, DONE, ParkedRecord, Request
from projectors.positions import Fenced, Position, stay
from projectors.record import Record

log = structlog.get_logger()


class TryAgain(Exception):
    """What the model failed with passes by itself: roll back and come back."""


class TooManyParked(Exception):
    """So many records fail that the fault is ours and not theirs. Stop and call a person."""


#: What a record cannot be at fault for: the database, the fence, a table that is missing. All else a handler raises parks its record.
NOT_THE_RECORD = (OperationalError, Fenced, TryAgain, TooManyParked, ProgrammingError, InternalError, MemoryError)


_COMES_BACK = (OperationalError, Fenced, TryAgain)


@runtime_checkable
class Answers(Protocol):
    """A model that owes every record an answer, as the desk does its outcome."""

    try_again_after: tuple[type[Exception], ...]  # what it may fail with that another attempt cures

    def park(self, db: Connection[Any], records: Sequence[Record], rule: str) -> None:
        """Say inside the open transaction that `records` wait."""


class Share:
    """What one consumer does with its records: applies them, or parks those that fail. Lives as long as its follower."""

    def __init__(self, consumer: str, model: ReadModel, limits: Parking) -> None:
        self.consumer, self.model = consumer, model
        self._answers = model if isinstance(model, Answers) else None
        self._try_again_after = self._answers.try_again_after if self._answers else ()
        self._limits = limits
        self._keys: dict[Partition, set[bytes]] = {}
        self._settled: deque[tuple[int, int]] = deque()  # records and newly parked keys of each of the last batches
        self._in_a_row = 0
        self._new: list[tuple[Partition, bytes]] = []

    def begin(self, db: Connection[Any], partition: Partition, next_offset: int) -> None:
        """Learn what waits in a partition that is ours from now on, and what of it was parked lately: a restart must not forget that."""
        if keys := parked.keys_of(db, self.consumer, partition):
            self._keys[partition] = keys
            self._settled.append((0, parked.count_since(db, self.consumer, partition, next_offset - self._limits.of_last)))

    def end(self, partition: Partition) -> None:
        """Let a partition go."""
        self._keys.pop(partition, None)

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Apply `records` at once; what waits already goes behind. Raises whatever the handler raises."""
        self._new.clear()
        if flowing := self._flowing(db, records):
            self._apply(db, flowing)

    def apply_or_park(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Apply `records`, and park those that fail on their own. Raises TooManyParked, and whatever no record is at fault for."""
        self._new.clear()
        self._halve(db, list(records))

    def require_few(self, records: int) -> None:
        """Hold what was parked lately, the last `apply` of so many records included, against the limit; raise TooManyParked."""
        if not self._new:
            return
        total = records + sum(count for count, _ in self._settled)
        failing = len(self._new) + sum(count for _, count in self._settled)
        if failing * 100 > self._limits.percent * max(total, self._limits.of_last):
            raise TooManyParked(f"{self.consumer}: {failing} of the last {max(total, self._limits.of_last)} records could not be applied")

    def committed(self, records: int) -> None:
        """What the last `apply` of so many records parked waits from now on."""
        if self._new or self._settled:
            self._settled.append((records, len(self._new)))
            total = sum(count for count, _ in self._settled)
            while self._settled and total - self._settled[0][0] >= self._limits.of_last:
                total -= self._settled.popleft()[0]
            if not any(count for _, count in self._settled):
                self._settled.clear()
        self._new.clear()

    def undo(self) -> None:
        """The transaction of the last `apply` was rolled back: what it parked does not wait."""
        for partition, key in self._new:
            self._keys.get(partition, set()).discard(key)
        self._new.clear()

    def _apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        try:
            self.model.apply(db, records)
        except self._try_again_after as failure:
            raise TryAgain(type(failure).__name__) from failure
        self._in_a_row = 0

    def _halve(self, db: Connection[Any], records: Sequence[Record]) -> None:
        flowing = self._flowing(db, records)
        if not flowing:
            return
        try:
            with db.transaction():
                self._apply(db, flowing)
        except NOT_THE_RECORD:
            raise
        except Exception as failure:  # noqa: BLE001 - kept: it becomes the reason
            if len(flowing) == 1:
                self._park(db, flowing, reason_of(failure))
                self._count_in_a_row()
                return
            middle = len(flowing) // 2
            self._halve(db, flowing[:middle])
            self._halve(db, flowing[middle:])

    def _count_in_a_row(self) -> None:
        self._in_a_row += 1
        if self._in_a_row > self._limits.in_a_row:
            raise TooManyParked(f"{self.consumer}: {self._in_a_row} records in a row could not be applied")

    def _flowing(self, db: Connection[Any], records: Sequence[Record]) -> Sequence[Record]:
        """Return those of `records` that may be applied: what is of a key that waits goes behind, what this model cannot read is left out.

        Was it a decision, the ticket's next one meets a hole and is parked: garbage that a stranger puts there stops nobody.
        """
        if not self._keys and (self.model.wants_all or not [r for r in records if r.event is None]):
            return records
        flowing: list[Record] = []
        for record in records:
            keys = self._keys.get((record.topic, record.partition), ())
            if record.key in keys:
                self._park(db, [record], BEHIND)
            elif record.event is not None or self.model.wants_all:
                flowing.append(record)
        return flowing

    def _park(self, db: Connection[Any], records: Sequence[Record], reason: str) -> None:
        now = time.time_ns() // 1000
        parked.add(db, [_parked(self.consumer, record, reason, now) for record in records])
        if self._answers is not None:
            self._answers.park(db, records, reason)
        for record in records:
            place = (record.topic, record.partition)
            if reason != BEHIND:
                log.warning("parked", consumer=self.consumer, topic=place[0], partition=place[1], offset=record.offset, reason=reason)
                self._new.append((place, record.key))
                self._keys.setdefault(place, set()).add(record.key)

    def redrive(self, db: Connection[Any], wanted: Request, held: Position, codec: Codec) -> str:
        """Try again what waits under one key of a partition that is ours; return `done`, or what it fails with now.

        What is unreadable still was no decision if the others fit together without it, so it is passed by.
        """
        place = (wanted.topic, wanted.partition)
        try:
            waiting = [_record(one, codec) for one in parked.list_records(db, wanted)]
            with db.transaction():
                stay(db, self.consumer, place, held)
                parked.remove(db, wanted)
                self._apply(db, [r for r in waiting if r.event is not None or self.model.wants_all])
                parked.answer(db, wanted, DONE)
        except _COMES_BACK:
            raise  # the request stays: whoever owns the partition next finds it
        except Exception as failure:  # noqa: BLE001 - kept: it is the answer
            parked.answer(db, wanted, reason_of(failure))
            return reason_of(failure)
        self._keys.get(place, set()).discard(wanted.key)
        if not self._keys.get(place):
            self._keys.pop(place, None)
        log.info("redriven", consumer=self.consumer, topic=place[0], partition=place[1], records=len(waiting))
        return DONE


def reason_of(failure: Exception) -> str:
    """Return what a record failed with, in words that hold nothing of it."""
    if isinstance(failure, Fork | VersionHole) and is_number(str(failure).split(" ", 1)[0].rstrip(":")):  # else it is anybody's word
        return f"{type(failure).__name__}: {failure}"
    if isinstance(failure, DataError | IntegrityError):
        return f"{type(failure).__name__} {failure.sqlstate or ''}".strip()
    return type(failure).__name__


def keys_that_wait(shares: Iterable[Share]) -> Mapping[str, int]:
    """Return how many keys wait by consumer, for a log line."""
    return {share.consumer: sum(map(len, share._keys.values())) for share in shares if share._keys}


def _parked(consumer: str, r: Record, reason: str, now_us: int) -> ParkedRecord:
    return ParkedRecord(consumer, r.topic, r.partition, r.offset, r.key, r.appended_at, r.void, r.raw, reason, now_us)


def _record(one: ParkedRecord, codec: Codec) -> Record:
    place = (one.topic, one.partition, one.offset, one.key, one.appended_at, one.raw)
    try:
        return Record(*place, codec.decode(one.raw), void=one.void)
    except Undecodable as undecodable:
        return Record(*place, None, str(undecodable), void=one.void)

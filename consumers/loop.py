"""The one loop by which read models and the desk follow their topics.

Read a batch, move the positions, apply it: one Postgres transaction. A record that its handler fails on is parked (`consumers.parking`).
For everything else that goes wrong the cure is one and the same: leave the group, come back, go on from the stored position, which also
tells whether a COMMIT that nobody answered took place. Errors are named by what the caller must do; nothing is skipped unseen.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as until_done
from contextlib import suppress
from functools import partial
from threading import Event as Flag
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from psycopg import Connection, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout

from consumers.batches import (
    Batch,
    Hole,
    LogDamaged,
    LogRewritten,
    PartitionsAdded,
    PastTheLog,
    Reader,
    Unheard,
    judge,
    places_of,
    raise_error,
    reached_by,
    require_known,
    size_of,
)
from consumers.kafka import GroupConsumer
from consumers.parking import NOT_THE_RECORD, Share, TooManyParked, TryAgain, keys_that_wait
from events.crash_points import reached
from events.places import Partition
from events.reference import Parking
from events.wire.codec import Codec, UnknownSchema
from events.wire.elections import after_elections
from projectors import database, parked, positions
from projectors.model import ReadModel, consumer_of
from projectors.positions import FIRST_ERA, Fenced, Move, Position, TopicReplaced
from projectors.record import Record

BATCH_RECORDS = 10_000
_FIRST_WAIT_S = 0.5
_REPORT_EVERY_S = 5.0
_REDRIVE_EVERY_S, _REDRIVES_AT_ONCE = 1.0, 10
COMMIT_LIMIT_S = 240.0  # longer than the server lets a statement run, shorter than the group waits for us to poll
_ANSWER_S = 5.0
SILENCE_S = 15.0

log = structlog.get_logger()

#: After these nothing can go on by itself: the process says what it met and ends.
CALL_A_PERSON = (Hole, PastTheLog, LogRewritten, LogDamaged, TopicReplaced, PartitionsAdded, TooManyParked)

#: After these, wait a moment and come back; everything else stops the process. An unknown schema means that a producer was deployed first.
COME_BACK = (Fenced, UnknownSchema, TryAgain, Unheard, OperationalError, IdleInTransactionSessionTimeout, KafkaException)

Applied = tuple[Share, list[Record]]


class Follower:
    """One process's share of its models' partitions, from joining the group to leaving it. Every model has positions of its own."""

    def __init__(
        self,
        consumer: GroupConsumer,
        db: Connection[Any],
        models: Sequence[ReadModel],
        codec: Codec,
        topic_ids: Mapping[str, str],
        limits: Parking,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """`names` tells by a model's name as which consumer it follows, where that is not the first build's."""
        self._consumer, self._db, self._codec, self._topic_ids = consumer, db, codec, topic_ids
        consumers = [(names or {}).get(model.name, consumer_of(model)) for model in models]
        self._shares = {name: Share(name, model, limits) for name, model in zip(consumers, models, strict=True)}
        self._owned: dict[Partition, dict[str, Position]] = {}
        self._reader = Reader(codec)
        self._failure: Exception | None = None
        self._under_way: Future[None] | None = None  # the commit of the batch before
        self._progress = _Progress(tuple(self._shares))
        self._looked_for_requests_s = self._heard_s = monotonic()
        self._unread: dict[Partition, int] = {}
        topics = sorted({topic for model in models for topic in model.topics})
        consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def follow(self, stop: Flag) -> None:
        """Follow the topics until `stop` is set; always leave the group on the way out. While one batch is committed, the next is read."""
        with ThreadPoolExecutor(1, thread_name_prefix="commit") as beside:
            try:
                while not stop.is_set():
                    self._take(beside)
                self._settle()
            except COME_BACK as failure:
                log.warning("leaving the group", because=type(failure).__name__)  # said first: while Kafka is silent, leaving takes long
                raise
            finally:
                self._wait()
                self._db.close()
                self._consumer.close()

    def step(self) -> int:
        """Take one batch, if there is one, and commit it; return how many records it held."""
        return self._take(None)

    def _take(self, beside: Executor | None) -> int:
        """Read a batch, let the one before come to its end, and commit this one, in `beside` if there is one; return its size.

        The database is asked and the positions are looked at only when no commit is under way. What fails ends the follower with it,
        and what was read meanwhile is dropped.
        """
        batch = self._reader.read(self._within_the_log(self._read_batch()))
        self._settle()
        if batch:
            reached("loop.polled")
            moves, shares = self._divide(batch)
            if beside is None:
                self._commit(batch, moves, shares)
            else:
                self._under_way = beside.submit(self._commit, batch, moves, shares)
        if self._reader.waits_for:
            self._settle()
            raise self._reader.waits_for
        if monotonic() - self._looked_for_requests_s >= _REDRIVE_EVERY_S:
            self._settle()
            self._redrive()
        return size_of(batch)

    def _settle(self) -> None:
        """Wait until no commit is under way, at most COMMIT_LIMIT_S; raise what it failed with."""
        self._wait()
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def _wait(self) -> None:
        """Wait as `_settle` does, but leave it to that to raise. A server that says nothing for so long is hung up on: the commit fails."""
        if self._under_way is not None and not until_done([self._under_way], COMMIT_LIMIT_S).done:
            log.warning("a commit is given up", after_s=COMMIT_LIMIT_S)
            database.hang_up(self._db)
            until_done([self._under_way], _ANSWER_S)

    def _read_batch(self) -> list[Message]:
        """Wait for one message, then take what is already here: low latency when quiet, large batches when busy."""
        first = self._consumer.poll(_FIRST_WAIT_S)
        batch = [first, *self._consumer.consume(BATCH_RECORDS - 1, timeout=0)] if first is not None else []  # an empty message is false
        if self._failure:
            raise self._failure
        if batch or monotonic() - self._heard_s >= SILENCE_S:
            unread = {} if batch else self._find_unread()
            if still := sorted(unread.items() & self._unread.items()):
                raise Unheard(f"{len(still)} partitions, the first {still[0]}")
            self._unread, self._heard_s = unread, monotonic()
        return batch

    def _find_unread(self) -> dict[Partition, int]:
        """Return where there is something to read, and from where on: of what is ours, or of all if nothing is. None while Kafka is away.

        A client that met a restart of Kafka at a bad moment was seen to hear nothing for minutes, and to say nothing of it. One that has
        lost sight of its partitions answers as if Kafka were away; so another is asked.
        """
        self._settle()
        reached_so_far: dict[Partition, int] = {}
        for of_one in positions.list_positions(self._db, self._shares).values():
            for place, next_offset in of_one.items():
                if place in self._owned or not self._owned:
                    reached_so_far[place] = min(next_offset, reached_so_far.get(place, next_offset))
        past: dict[Partition, int] = {}
        with suppress(KafkaException):
            past = self._consumer.ask_ends({topic for topic, _ in reached_so_far}) if reached_so_far else {}
        return {place: next_offset for place, next_offset in reached_so_far.items() if next_offset < past.get(place, 0)}

    def _within_the_log(self, messages: list[Message]) -> list[Message]:
        """Tell a position at the very beginning of the log from one that it no longer reaches; raise PastTheLog, saying what is lost.

        Reading begins with the record before the position, and that one may have reached its end.
        """
        for place in places_of(messages):
            awaited = self._reader.awaited(place)
            if awaited is None:
                continue
            partition = TopicPartition(*place, awaited)
            first, end = after_elections(partial(self._consumer.get_watermark_offsets, partition, timeout=_ANSWER_S))
            if awaited < first:
                raise PastTheLog(f"{place[0]}/{place[1]}: the log begins at {first}; {awaited} to {first - 1} are lost")
            if awaited > end:
                raise PastTheLog(f"{place[0]}/{place[1]}: the log ends at {end}; {end} to {awaited - 1}, which were read, are lost")
            self._reader.forget_witnesses(place)
            self._consumer.seek(partition)
        return [message for message in messages if message.error() is None or self._is_real_error(message)]

    def _is_real_error(self, message: Message) -> bool:
        if not places_of([message]):
            raise_error(message)
        return False

    def _commit(self, batch: Batch, moves: Sequence[Move], shares: Sequence[Applied]) -> None:
        """Move the positions of every model past `batch` and apply its share, in one transaction; park what fails."""
        try:
            with self._db.transaction():
                self._move(moves)
                for share, records in shares:
                    share.apply(self._db, records)
                reached("loop.applied")
        except NOT_THE_RECORD:
            raise
        except Exception as failure:  # noqa: BLE001 - met again below, record by record
            log.warning("a batch fails and is tried in parts", because=type(failure).__name__)
            self._commit_in_parts(moves, shares)
        reached("loop.committed")
        for share, records in shares:
            share.committed(len(records))
        for move in moves:
            self._owned[move.partition][move.consumer] = move.done()
        self._progress.committed(batch)

    def _commit_in_parts(self, moves: Sequence[Move], shares: Sequence[Applied]) -> None:
        for share, _ in shares:
            share.undo()
        with self._db.transaction():
            self._move(moves)
            for share, records in shares:
                share.apply_or_park(self._db, records)
                share.require_few(len(records))
        log.warning("some wait parked", keys=keys_that_wait(self._shares.values()))

    def _move(self, moves: Sequence[Move]) -> None:
        positions.advance(self._db, moves)
        reached("loop.positions_moved")

    def _divide(self, batch: Batch) -> tuple[list[Move], list[Applied]]:
        """Return the moves of all positions past `batch`, and for each model the records that it has not applied."""
        moves: list[Move] = []
        shares: list[Applied] = []
        for name, share in self._shares.items():
            own: list[Record] = []
            for partition, records in batch.items():
                held = self._owned[partition].get(name)
                fresh = records[max(0, held.next_offset - records[0].offset) :] if held else []
                if held and fresh:
                    era, judged = judge(fresh, held.era)
                    moves.append(Move(name, partition, held, fresh[-1].offset + 1, era, self._reader.witness[partition]))
                    own += judged if share.model.wants_all or era == FIRST_ERA else [r for r in judged if not r.void]
            if own:
                shares.append((share, own))
        return moves, shares

    def _redrive(self) -> None:
        """Try again what somebody asked for, as far as its partition is ours."""
        self._looked_for_requests_s = monotonic()
        for wanted in parked.list_requests(self._db, list(self._shares), _REDRIVES_AT_ONCE):
            held = self._owned.get((wanted.topic, wanted.partition), {}).get(wanted.consumer)
            if held is not None:
                self._shares[wanted.consumer].redrive(self._db, wanted, held, self._codec)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Start each partition where we left it. An exception here would make the client start elsewhere: keep it for later."""
        self._wait()
        try:
            for p in partitions:
                place = (p.topic, p.partition)
                require_known(place)
                following = [name for name, share in self._shares.items() if p.topic in share.model.topics]
                with self._db.transaction():
                    held = positions.claim(self._db, following, place, self._topic_ids[p.topic])
                for name in following:
                    self._shares[name].begin(self._db, place, held[name].next_offset)
                self._owned[place] = held
                p.offset = self._reader.begin(place, held)
            reached("loop.assigned")
            consumer.incremental_assign(partitions)
        except Exception as failure:  # noqa: BLE001 - raised again by _read_batch
            self._failure = failure

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._wait()
        for p in partitions:
            self._owned.pop((p.topic, p.partition), None)
            self._reader.end((p.topic, p.partition))
            for share in self._shares.values():
                share.end((p.topic, p.partition))
        consumer.incremental_unassign(partitions)


class _Progress:
    """Says now and then how far the work has come: topics, partitions and offsets, never contents."""

    def __init__(self, consumers: tuple[str, ...]) -> None:
        self._consumers = consumers
        self._records, self._batches, self._said_at = 0, 0, monotonic()
        self._reached: dict[str, int] = {}

    def committed(self, batch: Batch) -> None:
        """Count one committed batch."""
        self._records += size_of(batch)
        self._batches += 1
        self._reached |= reached_by(batch)
        if (now := monotonic()) - self._said_at >= _REPORT_EVERY_S:
            log.info("followed", consumers=self._consumers, records=self._records, batches=self._batches, reached=self._reached)
            self._records, self._batches, self._said_at, self._reached = 0, 0, now, {}


def keep_following(make: Callable[[], Follower], stop: Flag, wait_s: float = 0.2, longest_wait_s: float = 5.0) -> None:
    """Follow, and after a failure that time can cure come back with a fresh follower; the wait doubles up to its bound."""
    wait = wait_s
    while not stop.is_set():
        began = monotonic()
        try:
            make().follow(stop)
        except COME_BACK as failure:
            if monotonic() - began > longest_wait_s:
                wait = wait_s
            log.warning("coming back", because=type(failure).__name__, wait_s=wait)
            stop.wait(wait)
            wait = min(2 * wait, longest_wait_s)
        except CALL_A_PERSON as failure:
            log.error("stopping", because=type(failure).__name__, detail=str(failure))
            raise

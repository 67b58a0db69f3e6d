"""While one batch is committed the next is read: nothing of it may be kept if the first fails, and nothing let go before it has ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from psycopg import Connection, OperationalError

from consumers.loop import Follower
from events import reference
from events.envelope import TICKETS
from events.wire.codec import load_codec
from projectors.positions import Position
from projectors.record import Record
from tests.consumers.fake_kafka import FakeConsumer, FakeMessage, bytes_of
from tests.consumers.test_loop import TAKEN, FakeDatabase, Kept

_LIMIT_S = 10.0


@dataclass
class Watched(Kept):
    """A read model that does something of the test's before it keeps what it was given."""

    first: Callable[[], None] = field(default=lambda: None)

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        self.first()
        super().apply(db, records)


class OneByOne(FakeConsumer):
    """Gives one record with each poll, and does something of the test's at the second; after the last the follower shall stop."""

    def __init__(self, stop: Flag, at_second: Callable[[], None]) -> None:
        super().__init__([FakeMessage(4, bytes_of(TAKEN)), FakeMessage(5, bytes_of(TAKEN))])
        self._stop, self._at_second = stop, at_second

    def poll(self, timeout: float) -> FakeMessage | None:
        if len(self.messages) == 1:
            self._at_second()
        if not self.messages:
            self._stop.set()
        return super().poll(timeout)

    def consume(self, _: int, timeout: float) -> list[FakeMessage]:
        return []

    def close(self) -> None:
        """Nothing was opened."""


class OpenDatabase(FakeDatabase):
    """One that may be closed."""

    def close(self) -> None:
        """Nothing was opened."""


def _follower(consumer: OneByOne, model: Kept) -> Follower:
    follower = Follower(consumer, OpenDatabase(), (model,), load_codec(), {TICKETS: "id"}, reference.load().parking)  # type: ignore[arg-type]
    follower._owned[TICKETS, 0] = {"kept_v1": Position(1, 4, 1)}
    follower._reader.begin((TICKETS, 0), follower._owned[TICKETS, 0])
    return follower


def test_the_next_batch_is_read_while_one_is_committed() -> None:
    stop, asked_again, in_time = Flag(), Flag(), list[bool]()
    model = Watched(first=lambda: in_time.append(asked_again.wait(_LIMIT_S)))
    follower = _follower(OneByOne(stop, asked_again.set), model)

    follower.follow(stop)

    assert in_time[0]
    assert [record.offset for record in model.seen] == [4, 5]
    assert follower._owned[TICKETS, 0]["kept_v1"].next_offset == 6


def test_a_batch_that_fails_takes_what_was_read_meanwhile_with_it() -> None:
    stop, asked_again = Flag(), Flag()

    def fail() -> None:
        asked_again.wait(_LIMIT_S)
        raise OperationalError("the database went away")

    model = Watched(first=fail)
    follower = _follower(OneByOne(stop, asked_again.set), model)

    with pytest.raises(OperationalError):
        follower.follow(stop)

    assert model.seen == []
    assert follower._owned[TICKETS, 0]["kept_v1"].next_offset == 4


def test_a_partition_is_let_go_only_when_nothing_of_it_is_under_way() -> None:
    stop, letting_go, never, seen = Flag(), Flag(), Flag(), list[int]()

    def dawdle() -> None:
        letting_go.wait(_LIMIT_S)
        never.wait(0.1)  # it is not done yet when the partition is taken away

    model = Watched(first=dawdle)

    def take_away() -> None:
        letting_go.set()
        follower._on_revoke(follower._consumer, [TopicPartition(TICKETS, 0)])
        seen.append(len(model.seen))

    follower = _follower(OneByOne(stop, take_away), model)

    follower.follow(stop)

    assert seen == [1]
    assert [record.offset for record in model.seen] == [4]

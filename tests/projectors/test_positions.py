"""The fence: only the owner of a partition moves its position, and only from where it stands."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from projectors import database as doors
from projectors import positions
from projectors.positions import Fenced, Move, Position, TopicReplaced

pytestmark = pytest.mark.parts

PARTITION = ("hotline.tickets", 3)
MODEL = "ticket_status_v1"


@pytest.fixture
def db(database: str) -> Iterator[Connection[Any]]:
    with doors.connect(database, "test") as connection:
        doors.prepare(connection, ())
        yield connection


def _claim(db: Connection[Any], topic_id: str = "born-once") -> Position:
    return positions.claim(db, [MODEL], PARTITION, topic_id)[MODEL]


def _move(db: Connection[Any], held: Position, to: int, era: int = 1) -> Position:
    move = Move(MODEL, PARTITION, held, to, era)
    with db.transaction():
        positions.advance(db, [move])
    return move.done()


def test_an_owner_goes_on_where_the_last_one_stopped(db: Connection[Any]) -> None:
    first = _move(db, _claim(db), 7)

    second = _claim(db)

    assert (second.next_offset, second.owner_epoch) == (7, first.owner_epoch + 1)


def test_a_zombie_that_lost_its_partition_cannot_commit(db: Connection[Any]) -> None:
    zombie = _claim(db)
    heir = _claim(db)

    with pytest.raises(Fenced):
        _move(db, zombie, 5)

    assert _move(db, heir, 5).next_offset == 5


def test_the_same_owner_cannot_commit_the_same_batch_twice(db: Connection[Any]) -> None:
    held = _claim(db)
    _move(db, held, 5)

    with pytest.raises(Fenced):
        _move(db, held, 5)


def test_several_moves_happen_together_or_not_at_all(db: Connection[Any]) -> None:
    held = _claim(db)
    other = positions.claim(db, ["audit_log_v1"], PARTITION, "born-once")["audit_log_v1"]
    lost = other._replace(owner_epoch=other.owner_epoch - 1)

    with pytest.raises(Fenced), db.transaction():
        positions.advance(db, [Move(MODEL, PARTITION, held, 5, 1), Move("audit_log_v1", PARTITION, lost, 5, 1)])

    assert positions.list_positions(db, [MODEL]) == {MODEL: {PARTITION: 0}}


def test_a_topic_made_anew_is_noticed(db: Connection[Any]) -> None:
    _claim(db)

    with pytest.raises(TopicReplaced):
        _claim(db, "born-again")


def test_an_era_stays_with_the_position(db: Connection[Any]) -> None:
    _move(db, _claim(db), 1, era=4)

    assert _claim(db).era == 4

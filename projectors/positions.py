"""How far each consumer has read: the one guard against losing or doubling.

A position moves in the same transaction as the rows it stands for, by compare-and-set on its owner's epoch and the offset itself. A process
that lost a partition, slept through a rebalance or was cut off can go on reading, but not commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from events.places import Partition

FIRST_ERA = 1

DDL = """
CREATE TABLE IF NOT EXISTS position (
    consumer    text    NOT NULL,
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    topic_id    text    NOT NULL,
    owner_epoch bigint  NOT NULL,
    next_offset bigint  NOT NULL,
    era         bigint  NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50)
"""


class Fenced(Exception):
    """Somebody else owns the partition now: roll back and let go of it."""


class TopicReplaced(Exception):
    """The topic was deleted and made anew; its offsets mean something else. Stop and call a person."""


class Position(NamedTuple):
    """What an owner holds of one partition."""

    owner_epoch: int
    next_offset: int
    era: int


class Move(NamedTuple):
    """One step of one consumer in one partition: from where it stands to `next_offset`, in `era`."""

    consumer: str
    partition: Partition
    held: Position
    next_offset: int
    era: int

    def done(self) -> Position:
        """Return the position after this move was committed."""
        return Position(self.held.owner_epoch, self.next_offset, self.era)


def claim(db: Connection[Any], consumers: Sequence[str], partition: Partition, topic_id: str) -> dict[str, Position]:
    """Become the owner of a partition for all `consumers`, and so fence every earlier owner; return where each goes on."""
    topic, number = partition
    rows = db.execute(
        """
        INSERT INTO position AS p SELECT consumer, %s, %s, %s, 1, 0, %s FROM unnest(%s::text[]) AS n (consumer) ORDER BY consumer
        ON CONFLICT (consumer, topic, partition) DO UPDATE SET owner_epoch = p.owner_epoch + 1
        RETURNING consumer, topic_id, owner_epoch, next_offset, era
        """,
        [topic, number, topic_id, FIRST_ERA, list(consumers)],
    ).fetchall()
    for consumer, stored_id, *_ in rows:
        if stored_id != topic_id:
            raise TopicReplaced(f"{topic}: the position of {consumer} belongs to topic {stored_id}, the broker has {topic_id}")
    return {consumer: Position(epoch, next_offset, era) for consumer, _, epoch, next_offset, era in rows}


def advance(db: Connection[Any], moves: Sequence[Move]) -> None:
    """Make all `moves` or none; raise Fenced when one of the positions is no longer ours."""
    wanted = [(m.consumer, *m.partition, m.held.owner_epoch, m.held.next_offset, m.next_offset, m.era) for m in sorted(moves)]
    moved = db.execute(
        """
        UPDATE position AS p SET next_offset = n.next_offset, era = n.era
        FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
            AS n (consumer, topic, partition, epoch, held, next_offset, era)
        WHERE (p.consumer, p.topic, p.partition, p.owner_epoch, p.next_offset) = (n.consumer, n.topic, n.partition, n.epoch, n.held)
        """,
        [*map(list, zip(*wanted, strict=True))],
    ).rowcount
    if moved != len(wanted):
        raise Fenced(f"{len(wanted) - moved} of {len(wanted)} positions belong to somebody else")


def list_positions(db: Connection[Any], consumers: Iterable[str]) -> Mapping[str, Mapping[Partition, int]]:
    """Return the next offset of each of `consumers` in each of its partitions."""
    found: dict[str, dict[Partition, int]] = {consumer: {} for consumer in consumers}
    query = "SELECT consumer, topic, partition, next_offset FROM position WHERE consumer = ANY(%s)"
    for consumer, topic, number, next_offset in db.execute(query, [list(found)]):
        found[consumer][topic, number] = next_offset
    return found

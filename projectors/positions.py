"""How far each consumer has read: the one guard against losing or doubling.

A position moves in the same transaction as the rows it stands for, by compare-and-set on its owner's epoch and the offset itself. A process
that lost a partition, slept through a rebalance or was cut off can go on reading, but not commit. Beside the offset stands a witness of the
record before it, so that a log that was cut and written anew is noticed.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from psycopg import Connection

from events.places import Partition

FIRST_ERA = 1
_DIGEST_BYTES = 16

DDL = """
CREATE TABLE IF NOT EXISTS position (
    consumer     text    NOT NULL,
    topic        text    NOT NULL,
    partition    integer NOT NULL,
    topic_id     text    NOT NULL,
    owner_epoch  bigint  NOT NULL,
    next_offset  bigint  NOT NULL,
    era          bigint  NOT NULL,
    leader_epoch integer,  -- of the record before next_offset; none at 0
    digest       bytea,    -- of its key and value
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50)
"""


class Fenced(Exception):
    """Somebody else owns the partition now: roll back and let go of it."""


class TopicReplaced(Exception):
    """The topic was deleted and made anew; its offsets mean something else. Stop and call a person."""


class Witness(NamedTuple):
    """What the record before a position was: where the log was rewritten, another one stands there."""

    leader_epoch: int  # -1: the broker told none
    digest: bytes


def witness_of(leader_epoch: int | None, key: bytes, value: bytes) -> Witness:
    """Return the witness of a record."""
    digest = blake2b(len(key).to_bytes(4, "big") + key, digest_size=_DIGEST_BYTES, person=b"witness")
    digest.update(value)
    return Witness(-1 if leader_epoch is None else leader_epoch, digest.digest())


class Position(NamedTuple):
    """What an owner holds of one partition."""

    owner_epoch: int
    next_offset: int
    era: int
    witness: Witness | None = None


class Move(NamedTuple):
    """One step of one consumer in one partition: from where it stands to `next_offset`, in `era`, past the record of `witness`."""

    consumer: str
    partition: Partition
    held: Position
    next_offset: int
    era: int
    witness: Witness | None = None

    def done(self) -> Position:
        """Return the position after this move was committed."""
        return Position(self.held.owner_epoch, self.next_offset, self.era, self.witness)


def claim(db: Connection[Any], consumers: Sequence[str], partition: Partition, topic_id: str) -> dict[str, Position]:
    """Become the owner of a partition for all `consumers`, and so fence every earlier owner; return where each goes on."""
    topic, number = partition
    rows = db.execute(
        """
        INSERT INTO position AS p (consumer, topic, partition, topic_id, owner_epoch, next_offset, era)
            SELECT consumer, %s, %s, %s, 1, 0, %s FROM unnest(%s::text[]) AS n (consumer) ORDER BY consumer
        ON CONFLICT (consumer, topic, partition) DO UPDATE SET owner_epoch = p.owner_epoch + 1
        RETURNING consumer, topic_id, owner_epoch, next_offset, era, leader_epoch, digest
        """,
        [topic, number, topic_id, FIRST_ERA, list(consumers)],
    ).fetchall()
    for consumer, stored_id, *_ in rows:
        if stored_id != topic_id:
            raise TopicReplaced(f"{topic}: the position of {consumer} belongs to topic {stored_id}, the broker has {topic_id}")
    return {
        consumer: Position(owner_epoch, next_offset, era, None if digest is None else Witness(leader_epoch, bytes(digest)))
        for consumer, _, owner_epoch, next_offset, era, leader_epoch, digest in rows
    }


def advance(db: Connection[Any], moves: Sequence[Move]) -> None:
    """Make all `moves` or none; raise Fenced when one of the positions is no longer ours."""
    wanted = [
        (m.consumer, *m.partition, m.held.owner_epoch, m.held.next_offset, m.next_offset, m.era, *(m.witness or (None, None)))
        for m in sorted(moves, key=_place_of_move)
    ]
    moved = db.execute(
        """
        UPDATE position AS p SET next_offset = n.next_offset, era = n.era, leader_epoch = n.leader_epoch, digest = n.digest
        FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::bytea[])
            AS n (consumer, topic, partition, epoch, held, next_offset, era, leader_epoch, digest)
        WHERE (p.consumer, p.topic, p.partition, p.owner_epoch, p.next_offset) = (n.consumer, n.topic, n.partition, n.epoch, n.held)
        """,
        [*map(list, zip(*wanted, strict=True))],
    ).rowcount
    if moved != len(wanted):
        raise Fenced(f"{len(wanted) - moved} of {len(wanted)} positions belong to somebody else")


def _place_of_move(move: Move) -> tuple[str, Partition]:
    return move.consumer, move.partition


def stay(db: Connection[Any], consumer: str, partition: Partition, held: Position) -> None:
    """Lock a position of ours where it stands until the transaction ends; raise Fenced when it is no longer ours."""
    advance(db, [Move(consumer, partition, held, held.next_offset, held.era, held.witness)])


def list_positions(db: Connection[Any], consumers: Iterable[str]) -> Mapping[str, Mapping[Partition, int]]:
    """Return the next offset of each of `consumers` in each of its partitions."""
    found: dict[str, dict[Partition, int]] = {consumer: {} for consumer in consumers}
    query = "SELECT consumer, topic, partition, next_offset FROM position WHERE consumer = ANY(%s)"
    for consumer, topic, number, next_offset in db.execute(query, [list(found)]):
        found[consumer][topic, number] = next_offset
    return found

"""What the desk has seen of its own words on the log, and whether the log knows more of them than its tables do.

Positions on tickets and outcomes stand beside the desk's tables, so a restored copy has old ones and only the rest must be read. They move
only past what no row of the outbox can have left there, so that a copy never meets its own words as somebody else's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from consumers.batches import Batch, judge
from consumers.desk.stretch import Ends
from events.envelope import OUTCOMES, TICKETS, Decision
from events.outcomes import EraOpened
from events.places import Partition
from projectors.positions import FIRST_ERA, TopicReplaced
from projectors.record import Record

TOPICS = (TICKETS, OUTCOMES)

DDL = """
CREATE TABLE IF NOT EXISTS desk_history (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    topic_id    text    NOT NULL,
    next_offset bigint  NOT NULL,
    era         bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
"""


class ReadTo(NamedTuple):
    """How far one partition was read, and the era there."""

    next_offset: int
    era: int


class Told(NamedTuple):
    """What a reading of the log told: the highest era with a mark, and how many decisions the tables do not know."""

    era: int
    unknown: int


def places(db: Connection[Any], partitions: Sequence[Partition], topic_ids: Mapping[str, str]) -> dict[Partition, ReadTo]:
    """Return how far each of `partitions` was read; from its beginning if never. Raises TopicReplaced."""
    found = {partition: ReadTo(0, FIRST_ERA) for partition in partitions}
    for topic, number, topic_id, next_offset, era in db.execute("SELECT topic, partition, topic_id, next_offset, era FROM desk_history"):
        if topic_ids.get(topic, topic_id) != topic_id:
            raise TopicReplaced(f"{topic}: the desk's history belongs to topic {topic_id}, the broker has {topic_ids[topic]}")
        found[topic, number] = ReadTo(next_offset, era)
    return found


def starts(known: Mapping[Partition, ReadTo]) -> Ends:
    """Return from where to read on."""
    return {partition: read_to.next_offset for partition, read_to in known.items()}


def move(db: Connection[Any], moved: Mapping[Partition, ReadTo], topic_ids: Mapping[str, str]) -> None:
    """Store how far partitions were read; never back, except by `forget`."""
    with db.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO desk_history AS h (topic, partition, topic_id, next_offset, era) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset, era = excluded.era
            WHERE h.next_offset < excluded.next_offset
            """,
            [(topic, number, topic_ids[topic], to.next_offset, to.era) for (topic, number), to in sorted(moved.items())],
        )


def look(db: Connection[Any], batch: Batch, known: dict[Partition, ReadTo]) -> Told:
    """Hold a batch against the tables and note in `known` how far it goes; stores nothing."""
    era, decisions = FIRST_ERA, []
    for partition, records in batch.items():
        after, judged = judge(records, known[partition].era)
        known[partition] = ReadTo(records[-1].offset + 1, after)
        era = max([era, *(mark.era for mark in marks_in(records))])
        decisions += [r.event for r in judged if isinstance(r.event, Decision) and not r.void]
    return Told(era, _count_unknown(db, decisions))


def marks_in(records: Sequence[Record]) -> list[EraOpened]:
    """Return the marks among `records`."""
    return [record.event for record in records if isinstance(record.event, EraOpened)]


def _count_unknown(db: Connection[Any], decisions: Sequence[Decision]) -> int:
    """Count the tickets that have decisions which the tables do not know: another number, or a version above."""
    latest: dict[str, int] = {}
    for decision in decisions:
        latest[decision.number] = max(decision.version, latest.get(decision.number, 0))
    if not latest:
        return 0
    row = db.execute(
        """
        SELECT count(*) FROM unnest(%s::text[], %s::int[]) AS n (number, version) LEFT JOIN desk_ticket AS t USING (number)
        WHERE t.version IS NULL OR t.version < n.version
        """,
        [list(latest), list(latest.values())],
    ).fetchone()
    return row[0] if row else 0


def greatest_waiting(db: Connection[Any]) -> int:
    """Return the number of the youngest row of the outbox, -1 if it is empty. Ask after the ends of the log, not before."""
    row = db.execute("SELECT coalesce(max(seq), -1) FROM outbox").fetchone()
    return row[0] if row else -1


def may_move(db: Connection[Any], waiting: int) -> bool:
    """Say whether all rows of the outbox that there were when the ends of the log were asked for have gone: what is left came later."""
    return db.execute("SELECT FROM outbox WHERE seq <= %s LIMIT 1", [waiting]).fetchone() is None

"""What became of a cause, and how far each partition of causes is settled?

Asked by the intake that waits for a command's outcome, by operators, and by everybody who waits for a token. A row per cause, named by its
place. An outcome may come several times: the highest era counts, then the last result, then the places it named first. "Settled" is the end
of the run of causes without a hole that have an outcome; beside it stand the greatest offsets of decisions that outcomes of that partition
named, so whoever has passed those has seen all that the causes led to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection, Connection

from events.envelope import OUTCOMES
from events.outcomes import CauseSettled
from events.places import Place
from projectors.model import Table
from projectors.record import Record


class OutcomeStored(NamedTuple):
    """One cause and what became of it."""

    cause_topic: str
    cause_partition: int
    cause_offset: int
    cause_id: bytes
    cause_key: str
    era: int
    result: str
    rule: str
    detail: str
    first_partition: int | None
    first_offset: int | None
    ticket_version: int | None
    decided_numbers: list[str]
    decided_versions: list[int]
    decided_partitions: list[int]
    decided_offsets: list[int]
    recorded_at: int


class OutcomeRow(NamedTuple):
    """What an asker is told of one cause."""

    result: str
    rule: str
    detail: str
    ticket_version: int | None
    first: Place | None  # of a duplicate: where the first one lies
    decisions: list[dict[str, Any]]  # number, version, partition, offset


class Reach(NamedTuple):
    """How far one partition of causes is settled."""

    settled_offset: int  # the last one of the run without a hole; -1: none
    greatest_offset: int  # the greatest that has an outcome
    decided: tuple[int, ...]  # by partition of hotline.tickets: the greatest offset of a decision; -1: none


NOTHING_SETTLED = Reach(-1, -1, ())

DDL = """
CREATE TABLE IF NOT EXISTS outcome_v1 (
    cause_topic        text NOT NULL,
    cause_partition    integer NOT NULL,
    cause_offset       bigint NOT NULL,
    cause_id           bytea NOT NULL,
    cause_key          text NOT NULL,
    era                bigint NOT NULL,
    result             text NOT NULL,
    rule               text NOT NULL,
    detail             text NOT NULL,
    first_partition    integer,
    first_offset       bigint,
    ticket_version     integer,
    decided_numbers    text[] NOT NULL,
    decided_versions   integer[] NOT NULL,
    decided_partitions integer[] NOT NULL,
    decided_offsets    bigint[] NOT NULL,
    recorded_at        bigint NOT NULL,
    PRIMARY KEY (cause_topic, cause_partition, cause_offset)
);
CREATE TABLE IF NOT EXISTS outcome_reach_v1 (
    cause_topic     text NOT NULL,
    cause_partition integer NOT NULL,
    settled_offset  bigint NOT NULL,
    greatest_offset bigint NOT NULL,
    decided         bigint[] NOT NULL,
    PRIMARY KEY (cause_topic, cause_partition)
) WITH (fillfactor = 50);
"""

_COLUMNS = ", ".join(OutcomeStored._fields)
VIEWS = f"""
CREATE OR REPLACE VIEW outcomes AS SELECT {_COLUMNS} FROM outcome_v1;
CREATE OR REPLACE VIEW outcome_reach AS SELECT cause_topic, cause_partition, settled_offset, greatest_offset, decided FROM outcome_reach_v1;
"""  # noqa: S608 - our own names

TABLE = Table(
    name="outcome_v1",
    columns={
        "cause_topic": "text",
        "cause_partition": "int4",
        "cause_offset": "int8",
        "cause_id": "bytea",
        "cause_key": "text",
        "era": "int8",
        **dict.fromkeys(("result", "rule", "detail"), "text"),
        "first_partition": "int4",
        "first_offset": "int8",
        "ticket_version": "int4",
        "decided_numbers": "text[]",
        "decided_versions": "int4[]",
        "decided_partitions": "int4[]",
        "decided_offsets": "int8[]",
        "recorded_at": "int8",
    },
    key=("cause_topic", "cause_partition", "cause_offset"),
    on_conflict="replace",
)
REACH_TABLE = Table(
    name="outcome_reach_v1",
    columns={"cause_topic": "text", "cause_partition": "int4", "settled_offset": "int8", "greatest_offset": "int8", "decided": "int8[]"},
    key=("cause_topic", "cause_partition"),
    on_conflict="replace",
)

Causes = tuple[str, int]  # topic and partition of causes


def row_of(e: CauseSettled) -> OutcomeStored:
    """Return an outcome as a row."""
    return OutcomeStored(
        cause_topic=e.cause_topic,
        cause_partition=e.cause_partition,
        cause_offset=e.cause_offset,
        cause_id=e.cause_id,
        cause_key=e.cause_key,
        era=e.era,
        result=e.result,
        rule=e.rule,
        detail=e.detail,
        first_partition=e.first_partition,
        first_offset=e.first_offset,
        ticket_version=e.ticket_version,
        decided_numbers=[d.number for d in e.decisions],
        decided_versions=[d.version for d in e.decisions],
        decided_partitions=[d.partition for d in e.decisions],
        decided_offsets=[d.offset for d in e.decisions],
        recorded_at=e.recorded_at,
    )


def supersedes(event: CauseSettled, row: OutcomeStored) -> bool:
    """Say whether a later outcome takes the place of the stored one; a repeat does not, nor does "parked" once there was a real one."""
    if event.era != row.era:
        return event.era > row.era
    return event.result not in (row.result, "parked")


def extend(reach: Reach, outcomes: Iterable[CauseSettled]) -> Reach:
    """Return how far one partition of causes is settled after `outcomes`, as far as they themselves tell."""
    settled, greatest, decided = reach.settled_offset, reach.greatest_offset, list(reach.decided)
    for outcome in outcomes:
        greatest = max(greatest, outcome.cause_offset)
        if outcome.cause_offset == settled + 1:
            settled += 1
        for place in outcome.decisions:
            decided += [-1] * (place.partition + 1 - len(decided))
            decided[place.partition] = max(decided[place.partition], place.offset)
    return Reach(settled, greatest, tuple(decided))


@dataclass(frozen=True)
class OutcomesModel:
    """The registration of this read model."""

    name: str = "outcomes"
    version: int = 1
    topics: tuple[str, ...] = (OUTCOMES,)
    ddl: str = DDL
    views: str = VIEWS
    wants_all: bool = False

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Bring each cause's row and each partition's reach up to `records`."""
        outcomes = [r.event for r in records if isinstance(r.event, CauseSettled)]
        if not outcomes:
            return
        stored = _load(db, {Place(o.cause_topic, o.cause_partition, o.cause_offset) for o in outcomes})
        changed: dict[Place, OutcomeStored] = {}
        by_causes: dict[Causes, list[CauseSettled]] = {}
        for outcome in outcomes:
            by_causes.setdefault((outcome.cause_topic, outcome.cause_partition), []).append(outcome)
            place = Place(outcome.cause_topic, outcome.cause_partition, outcome.cause_offset)
            row = changed.get(place) or stored.get(place)
            if row is None or supersedes(outcome, row):
                changed[place] = row_of(outcome)
        TABLE.write(db, list(changed.values()))
        _extend_reaches(db, by_causes)


OUTCOMES_MODEL = OutcomesModel()


def _load(db: Connection[Any], places: set[Place]) -> dict[Place, OutcomeStored]:
    rows = db.execute(
        f"""
        SELECT {_COLUMNS} FROM outcome_v1
        JOIN unnest(%s::text[], %s::int[], %s::bigint[]) AS w (t, p, o) ON (cause_topic, cause_partition, cause_offset) = (t, p, o)
        """,  # noqa: S608 - our own names
        [list(column) for column in zip(*sorted(places), strict=True)],
    )
    return {Place(row[0], row[1], row[2]): OutcomeStored(*row) for row in rows}


def _extend_reaches(db: Connection[Any], by_causes: Mapping[Causes, Sequence[CauseSettled]]) -> None:
    rows = db.execute("SELECT cause_topic, cause_partition, settled_offset, greatest_offset, decided FROM outcome_reach_v1")
    reaches = {(topic, partition): Reach(settled, greatest, tuple(decided)) for topic, partition, settled, greatest, decided in rows}
    changed = []
    for causes, outcomes in by_causes.items():
        reach = extend(reaches.get(causes, NOTHING_SETTLED), outcomes)
        if reach.settled_offset < reach.greatest_offset:  # they came out of order: look whether rows of before go on
            reach = reach._replace(settled_offset=_end_of_run(db, causes, reach.settled_offset))
        changed.append((*causes, reach.settled_offset, reach.greatest_offset, list(reach.decided)))
    REACH_TABLE.write(db, changed)


def _end_of_run(db: Connection[Any], causes: Causes, settled_offset: int) -> int:
    row = db.execute(
        """
        SELECT max(cause_offset) FROM (
            SELECT cause_offset, cause_offset - row_number() OVER (ORDER BY cause_offset) AS start
            FROM outcome_v1 WHERE cause_topic = %s AND cause_partition = %s AND cause_offset > %s
        ) AS later WHERE start = %s
        """,
        [*causes, settled_offset, settled_offset],
    ).fetchone()
    return settled_offset if row is None or row[0] is None else int(row[0])


async def find_outcomes(db: AsyncConnection[Any], places: Sequence[Place]) -> dict[Place, OutcomeRow]:
    """Return the outcomes of those causes that have one."""
    if not places:
        return {}
    rows = await db.execute(
        """
        SELECT cause_topic, cause_partition, cause_offset, result, rule, detail, ticket_version, first_partition, first_offset,
            decided_numbers, decided_versions, decided_partitions, decided_offsets
        FROM outcomes JOIN unnest(%s::text[], %s::int[], %s::bigint[]) AS w (t, p, o)
            ON (cause_topic, cause_partition, cause_offset) = (t, p, o)
        """,
        [list(column) for column in zip(*sorted(set(places)), strict=True)],
    )
    return {Place(*row[:3]): _told(row) for row in await rows.fetchall()}


def _told(row: tuple[Any, ...]) -> OutcomeRow:
    topic, _, _, result, rule, detail, ticket_version, first_partition, first_offset, *decided = row
    first = None if first_offset is None else Place(topic, first_partition, first_offset)
    decisions = [dict(zip(("number", "version", "partition", "offset"), decision, strict=True)) for decision in zip(*decided, strict=True)]
    return OutcomeRow(result, rule, detail, ticket_version, first, decisions)

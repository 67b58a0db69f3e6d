"""What the log says of causes that the desk's tables do not know as settled: decisions and outcomes, each until its cause comes by.

While an era is opened they are put here; afterwards the desk folds each of those causes instead of deciding it anew, and takes them out.
Nothing here decides.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from events.envelope import Decision
from events.outcomes import CauseSettled, DecisionPlace
from events.places import Place
from events.tickets import TicketRegistered
from projectors.record import Record

CONSUMER = "desk_v1"  # under which the desk's positions stand, and what waits parked

DDL = """
CREATE TABLE IF NOT EXISTS desk_recalled_decision (
    cause_id    bytea   NOT NULL,
    ordinal     integer NOT NULL,
    cause_count integer NOT NULL,
    number      text    NOT NULL,
    version     integer NOT NULL,
    opens       boolean NOT NULL,  -- it registers the ticket
    partition   integer NOT NULL,  -- of the tickets
    "offset"    bigint  NOT NULL,
    PRIMARY KEY (cause_id, ordinal)
);
CREATE TABLE IF NOT EXISTS desk_recalled_outcome (
    cause_topic     text    NOT NULL,
    cause_partition integer NOT NULL,
    cause_offset    bigint  NOT NULL,
    era             bigint  NOT NULL,
    result          text    NOT NULL,
    rule            text    NOT NULL,
    PRIMARY KEY (cause_topic, cause_partition, cause_offset)
);
CREATE TABLE IF NOT EXISTS desk_pending (  -- while an era is opened: the causes in the outbox
    cause_topic     text    NOT NULL,
    cause_partition integer NOT NULL,
    cause_offset    bigint  NOT NULL,
    PRIMARY KEY (cause_topic, cause_partition, cause_offset)
);
CREATE TABLE IF NOT EXISTS desk_pending_decision (  -- and their decisions
    number   text    NOT NULL,
    version  integer NOT NULL,
    cause_id bytea   NOT NULL,
    ordinal  integer NOT NULL,
    PRIMARY KEY (number, version)
);
CREATE INDEX IF NOT EXISTS desk_pending_decision_cause ON desk_pending_decision (cause_id);
"""


class Made(NamedTuple):
    """A decision that is on the log already."""

    ordinal: int
    cause_count: int
    number: str
    version: int
    opens: bool
    partition: int
    offset: int

    @property
    def place(self) -> DecisionPlace:
        """Where it lies, as an outcome tells it."""
        return DecisionPlace(number=self.number, version=self.version, partition=self.partition, offset=self.offset)


class Answered(NamedTuple):
    """An outcome that is on the log already."""

    result: str
    rule: str

    @property
    def is_of_a_repeat(self) -> bool:
        """Whether the cause had no effect because another one with its id, or its idempotency key, came first."""
        return self.result == "duplicate" or self.rule == "idempotency_key_reused"


class Recalled(NamedTuple):
    """What is recalled of the causes of one batch."""

    outcomes: Mapping[Place, Answered]
    decisions: Mapping[bytes, Mapping[int, Made]]  # by cause and ordinal

    @property
    def numbers(self) -> set[str]:
        """Return the tickets that the decisions are about."""
        return {made.number for own in self.decisions.values() for made in own.values()}


NOTHING = Recalled({}, {})


def keep_decisions(db: Connection[Any], decisions: Sequence[Record]) -> None:
    """Keep valid decisions whose causes are not settled in the tables, or settled and not published; the first place of each."""
    rows = [
        (d.cause_id, d.cause_ordinal, d.cause_count, d.number, d.version, type(d) is TicketRegistered, r.partition, r.offset)
        for r in decisions
        if isinstance(d := r.event, Decision)
    ]
    if rows:
        db.execute(
            """
            INSERT INTO desk_recalled_decision
            SELECT * FROM unnest(%s::bytea[], %s::int[], %s::int[], %s::text[], %s::int[], %s::bool[], %s::int[], %s::bigint[])
                AS n (cause_id, ordinal, cause_count, number, version, opens, partition, "offset")
            WHERE NOT EXISTS (SELECT FROM desk_cause AS c WHERE c.event_id = n.cause_id)
                OR EXISTS (SELECT FROM desk_pending_decision AS p WHERE p.cause_id = n.cause_id)
            ON CONFLICT DO NOTHING
            """,
            [*map(list, zip(*rows, strict=True))],
        )


def keep_outcomes(db: Connection[Any], outcomes: Sequence[CauseSettled]) -> None:
    """Keep valid outcomes of causes that the desk has not passed, or has passed and not published, or that wait parked."""
    last = {(o.cause_topic, o.cause_partition, o.cause_offset): o for o in sorted(outcomes, key=lambda o: o.era) if o.result != "parked"}
    rows = [(*place, o.era, o.result, o.rule) for place, o in last.items()]
    if rows:
        db.execute(
            """
            INSERT INTO desk_recalled_outcome AS r
            SELECT n.* FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::text[], %s::text[])
                AS n (topic, partition, "offset", era, result, rule)
            LEFT JOIN position AS own ON (own.consumer, own.topic, own.partition) = (%s, n.topic, n.partition)
            WHERE n."offset" >= coalesce(own.next_offset, 0)
                OR EXISTS (SELECT FROM desk_pending AS p
                    WHERE (p.cause_topic, p.cause_partition, p.cause_offset) = (n.topic, n.partition, n."offset"))
                OR EXISTS (SELECT FROM parked AS w
                    WHERE (w.consumer, w.topic, w.partition, w."offset") = (%s, n.topic, n.partition, n."offset"))
            ON CONFLICT (cause_topic, cause_partition, cause_offset) DO UPDATE
                SET era = excluded.era, result = excluded.result, rule = excluded.rule WHERE r.era <= excluded.era
            """,
            [*map(list, zip(*rows, strict=True)), CONSUMER, CONSUMER],
        )


def find(db: Connection[Any], places: Collection[Place], cause_ids: Collection[bytes]) -> Recalled:
    """Return what is recalled of causes at `places` with the ids `cause_ids`."""
    outcomes = db.execute(
        """
        SELECT cause_topic, cause_partition, cause_offset, result, rule FROM desk_recalled_outcome
        JOIN unnest(%s::text[], %s::int[], %s::bigint[]) AS w (t, p, o) ON (cause_topic, cause_partition, cause_offset) = (t, p, o)
        """,
        [[place[i] for place in places] for i in range(3)],
    ).fetchall()
    decisions: dict[bytes, dict[int, Made]] = {}
    rows = db.execute(
        """
        SELECT cause_id, ordinal, cause_count, number, version, opens, partition, "offset" FROM desk_recalled_decision
        WHERE cause_id = ANY(%s) ORDER BY cause_id, ordinal
        """,
        [list(cause_ids)],
    )
    for cause_id, *rest in rows:
        made = Made(*rest)
        decisions.setdefault(bytes(cause_id), {})[made.ordinal] = made
    return Recalled({Place(*row[:3]): Answered(*row[3:]) for row in outcomes}, decisions)


def take_out(db: Connection[Any], places: Collection[Place], cause_ids: Collection[bytes]) -> None:
    """Forget what was recalled of causes that the tables know now."""
    db.execute(
        """
        DELETE FROM desk_recalled_outcome USING unnest(%s::text[], %s::int[], %s::bigint[]) AS w (t, p, o)
        WHERE (cause_topic, cause_partition, cause_offset) = (t, p, o)
        """,
        [[place[i] for place in places] for i in range(3)],
    )
    db.execute("DELETE FROM desk_recalled_decision WHERE cause_id = ANY(%s)", [list(cause_ids)])


def forget_when_empty(db: Connection[Any]) -> None:
    """Once nothing is recalled any longer, the desk need not look."""
    db.execute(
        """
        UPDATE desk_memory SET recalling = false WHERE recalling AND opening IS NULL
            AND NOT EXISTS (SELECT FROM desk_recalled_outcome) AND NOT EXISTS (SELECT FROM desk_recalled_decision)
        """
    )

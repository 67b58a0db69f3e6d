"""Everything that happened, by whom and when: one row for each record of the log, repeats and void ones too.

Asked by auditors. The row keeps the record's bytes as they lie in the log, so that whoever looks can decode them; nothing is folded.
Repeats stay in the table, and reads show the first of each event id. Knows no person: sealed fields stay sealed inside the bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import Connection

from events.catalogue import EVENT_TYPES
from events.envelope import COMMANDS, FACTS, OUTCOMES, TICKETS, Command, Decision, Event, Fact
from events.outcomes import CauseSettled
from projectors.model import Table
from projectors.record import Record


class AuditRow(NamedTuple):
    """One record of the log; times are microseconds since 1970 in UTC. What an unreadable record does not tell is None."""

    topic: str
    partition: int
    offset: int
    event_id: bytes | None
    type: str | None  # full name of its schema's record
    subject: str  # the record's key: contact, ticket number, cause
    actor: str | None
    version: int | None  # of a decision
    cause_id: bytes | None  # of a decision and of an outcome
    occurred_at: int | None
    recorded_at: int | None  # of a fact: received_at
    appended_at: int  # by the broker's clock
    void: bool  # an era ended before it
    body: bytes  # the record's value


DDL = """
CREATE TABLE IF NOT EXISTS audit_log_v1 (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    event_id    bytea,
    type        text,
    subject     text NOT NULL,
    actor       text,
    version     integer,
    cause_id    bytea,
    occurred_at bigint,
    recorded_at bigint,
    appended_at bigint NOT NULL,
    void        boolean NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX IF NOT EXISTS audit_log_v1_subject ON audit_log_v1 (subject);
CREATE INDEX IF NOT EXISTS audit_log_v1_appended ON audit_log_v1 (appended_at);
CREATE INDEX IF NOT EXISTS audit_log_v1_actor ON audit_log_v1 (actor, appended_at) WHERE actor <> 'citizen';
"""

VIEWS = """
CREATE OR REPLACE VIEW audit_log AS
    SELECT topic, partition, "offset", event_id, type, subject, actor, version, cause_id, occurred_at, recorded_at, appended_at, void, body
    FROM audit_log_v1;
"""

TABLE = Table(
    name="audit_log_v1",
    columns={
        "topic": "text",
        "partition": "int4",
        "offset": "int8",
        "event_id": "bytea",
        "type": "text",
        "subject": "text",
        "actor": "text",
        "version": "int4",
        "cause_id": "bytea",
        "occurred_at": "int8",
        "recorded_at": "int8",
        "appended_at": "int8",
        "void": "bool",
        "body": "bytea",
    },
    key=("topic", "partition", "offset"),
)

#: What of an event stands in columns of its own: event id, actor, version, cause id, occurred_at, recorded_at.
Told = tuple[bytes | None, str | None, int | None, bytes | None, int | None, int | None]


def _of_fact(e: Fact) -> Told:
    return e.event_id, e.actor, None, None, e.occurred_at, e.received_at


def _of_command(e: Command) -> Told:
    return e.event_id, e.actor, None, None, e.occurred_at, e.recorded_at


def _of_decision(e: Decision) -> Told:
    return e.event_id, e.actor, e.version, e.cause_id, e.occurred_at, e.recorded_at


def _of_outcome(e: CauseSettled) -> Told:
    return e.event_id, None, None, e.cause_id, e.occurred_at, e.recorded_at


def _of_mark(e: Event) -> Told:
    return e.event_id, None, None, None, e.occurred_at, e.received_at


_FAMILIES: tuple[tuple[type[Event], Callable[[Any], Told]], ...] = (
    (Fact, _of_fact),
    (Command, _of_command),
    (Decision, _of_decision),
    (CauseSettled, _of_outcome),
    (Event, _of_mark),
)


def _teller(kind: type[Event]) -> Callable[[Any], Told]:
    return next(tell for family, tell in _FAMILIES if issubclass(kind, family))


#: By event class: the full name of its schema's record, and what to take from it. A dictionary, because this runs for every record.
_TELLERS: Mapping[type[Event], tuple[str, Callable[[Any], Told]]] = {t.event: (t.record_name, _teller(t.event)) for t in EVENT_TYPES}
_LONGEST_BYTES = 400
_UNREADABLE: Told = (None, None, None, None, None, None)


def _row(r: Record) -> tuple[Any, ...]:
    """Return `r` as a row. A stranger's key or actor may be longer than an index takes and hold a NUL, which Postgres refuses in text."""
    event = r.event
    subject = r.key[:_LONGEST_BYTES].decode("utf-8", "replace")
    if event is None:
        name, told = None, _UNREADABLE
    else:
        name, tell = _TELLERS[type(event)]
        told = tell(event)
    event_id, actor, version, cause_id, occurred_at, recorded_at = told
    if "\x00" in subject:
        subject = subject.replace("\x00", "�")
    if actor is not None and (len(actor) > _LONGEST_BYTES or "\x00" in actor):
        actor = actor[:_LONGEST_BYTES].replace("\x00", "�")
    return (
        r.topic,
        r.partition,
        r.offset,
        event_id,
        name,
        subject,
        actor,
        version,
        cause_id,
        occurred_at,
        recorded_at,
        r.appended_at,
        r.void,
        r.raw,
    )


@dataclass(frozen=True)
class AuditLogModel:
    """The registration of this read model. It wants void and unreadable records too: nothing on the log is left out."""

    name: str = "audit_log"
    version: int = 1
    topics: tuple[str, ...] = (FACTS, COMMANDS, TICKETS, OUTCOMES)
    ddl: str = DDL
    views: str = VIEWS
    wants_all: bool = True

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Add one row for each record, by one COPY; their places are new, since positions move in the same transaction."""
        TABLE.append(db, map(_row, records))


AUDIT_LOG = AuditLogModel()

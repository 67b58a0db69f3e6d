"""Everything that happened, by whom and when: one row for each record of the log, repeats and void ones too.

Asked by auditors. The row keeps the record's bytes as they lie in the log, so that whoever looks can decode them; nothing is folded.
Repeats stay in the table, and reads show the first of each event id. Knows no person: sealed fields stay sealed inside the bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
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

# Rows go to Postgres as its binary COPY takes them, written out here and not by the driver: this runs for every record of the log. A column
# is its size in four bytes, -1 for NULL, and its value. An id has 16 bytes: the schemas say so.
_COPY_HEAD, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_ROWS_AT_ONCE = 150
_NULL = -1
_SIZE = Struct("!i")
_NOTHING = _SIZE.pack(_NULL)
_FIRST = Struct("!h")  # how many columns a row has
_PARTITION, _PLACE, _PLACE_AND_ID = Struct("!ii"), Struct("!iqi"), Struct("!iqi16s")
_FROM_VERSION = Struct("!ii i16s iq iq iq i? i")  # version, cause_id, occurred_at, recorded_at, appended_at, void; size of the body
_FROM_CAUSE = Struct("!i i16s iq iq iq i? i")
_FROM_TIMES = Struct("!i i iq iq iq i? i")
_FROM_APPENDED = Struct("!i i i i iq i? i")

#: Takes an event, appended_at, void and the body's size; returns the column actor, and those from version on.
Tell = Callable[[Any, int, bool, int], tuple[bytes, bytes]]


def _of_fact(e: Fact, appended_at: int, void: bool, size: int) -> tuple[bytes, bytes]:
    return _actor(e.actor), _FROM_TIMES.pack(_NULL, _NULL, 8, e.occurred_at, 8, e.received_at, 8, appended_at, 1, void, size)


def _of_command(e: Command, appended_at: int, void: bool, size: int) -> tuple[bytes, bytes]:
    return _actor(e.actor), _FROM_TIMES.pack(_NULL, _NULL, 8, e.occurred_at, 8, e.recorded_at, 8, appended_at, 1, void, size)


def _of_decision(e: Decision, appended_at: int, void: bool, size: int) -> tuple[bytes, bytes]:
    times = (8, e.occurred_at, 8, e.recorded_at, 8, appended_at)
    return _actor(e.actor), _FROM_VERSION.pack(4, e.version, 16, e.cause_id, *times, 1, void, size)


def _of_outcome(e: CauseSettled, appended_at: int, void: bool, size: int) -> tuple[bytes, bytes]:
    return _NOTHING, _FROM_CAUSE.pack(_NULL, 16, e.cause_id, 8, e.occurred_at, 8, e.recorded_at, 8, appended_at, 1, void, size)


def _of_mark(e: Event, appended_at: int, void: bool, size: int) -> tuple[bytes, bytes]:
    return _NOTHING, _FROM_TIMES.pack(_NULL, _NULL, 8, e.occurred_at, 8, e.received_at, 8, appended_at, 1, void, size)


_FAMILIES: tuple[tuple[type[Event], Tell], ...] = (
    (Fact, _of_fact),
    (Command, _of_command),
    (Decision, _of_decision),
    (CauseSettled, _of_outcome),
    (Event, _of_mark),
)


def _text(value: str) -> bytes:
    raw = value.encode()
    return _SIZE.pack(len(raw)) + raw


def _teller(kind: type[Event]) -> Tell:
    return next(tell for family, tell in _FAMILIES if issubclass(kind, family))


#: By event class: the column type, and what takes the others from it. A dictionary, because this runs for every record.
_TELLERS: Mapping[type[Event], tuple[bytes, Tell]] = {t.event: (_text(t.record_name), _teller(t.event)) for t in EVENT_TYPES}
_LONGEST_BYTES = 400


@lru_cache(maxsize=10_000)
def _actor(actor: str) -> bytes:
    """Return the column of a stranger's words, which may be longer than an index takes."""
    return _text(actor[:_LONGEST_BYTES].replace("\0", "�"))


@lru_cache(maxsize=1_000)
def _head(topic: str, partition: int) -> bytes:
    return _FIRST.pack(len(AuditRow._fields)) + _text(topic) + _PARTITION.pack(4, partition)


def _cleaned(key: bytes) -> bytes:
    """Return a stranger's key as text that an index takes and that holds no NUL, which Postgres refuses."""
    return key[:_LONGEST_BYTES].decode("utf-8", "replace").replace("\0", "�").encode()


def packed(records: Sequence[Record]) -> Iterator[bytes]:
    """Yield the rows of `records` as one binary COPY, in pieces of some 100 kB."""
    yield _COPY_HEAD
    for start in range(0, len(records), _ROWS_AT_ONCE):
        pieces: list[bytes] = []
        for topic, partition, offset, key, appended_at, raw, event, _, void in records[start : start + _ROWS_AT_ONCE]:
            if event is None:
                place, name, actor = _PLACE.pack(8, offset, _NULL), _NOTHING, _NOTHING
                rest = _FROM_APPENDED.pack(_NULL, _NULL, _NULL, _NULL, 8, appended_at, 1, void, len(raw))
            else:
                place = _PLACE_AND_ID.pack(8, offset, 16, event.event_id)
                name, tell = _TELLERS[type(event)]
                actor, rest = tell(event, appended_at, void, len(raw))
            subject = key if key.isascii() and b"\0" not in key and len(key) <= _LONGEST_BYTES else _cleaned(key)
            pieces += (_head(topic, partition), place, name, _SIZE.pack(len(subject)), subject, actor, rest, raw)
        yield b"".join(pieces)
    yield _COPY_END


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
        TABLE.append_packed(db, packed(records))


AUDIT_LOG = AuditLogModel()

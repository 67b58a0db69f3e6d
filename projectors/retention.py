"""What must be kept until when: every contact, ticket and stored file, three years at least (R212, G22).

Asked by auditors and the records office. Rows fed by facts are keyed by the fact, a ticket has one row; the latest date of everything that
belongs together counts and is found when somebody asks (`projectors.reads.retention`). The floor runs from receipt, storing or the last
closing; an open ticket has no date. A letter given again is sealed and stored again: so every record that names a file has a row for it,
a repeated fact's too, or files would lie in the store that no table knows. Years per class come from the reference data. Destroys nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Connection

from events.cabinet import CabinetRequestFiled
from events.calls import RecordingStored
from events.chats import ChatFileOffered
from events.complaints import ComplaintFiled
from events.envelope import FACTS, TICKETS, Decision, Fact, StoredFile
from events.letters import LetterReceived
from events.reference import Reference
from events.tickets import TicketClosed, TicketRegistered, TicketReopened
from projectors.model import Handlers, Table, TicketRows
from projectors.record import Record


class KeptContact(NamedTuple):
    """One fact of a contact and its date; times are microseconds since 1970 in UTC."""

    event_id: bytes
    contact_id: bytes
    record_class: str
    received_at: int
    keep_until: int


class KeptTicket(NamedTuple):
    """One ticket; no dates while it is open."""

    number: str
    version: int
    last_event_id: bytes
    record_class: str
    closed_at: int | None
    keep_until: int | None


class KeptFile(NamedTuple):
    """One stored file that a record of a fact speaks of; a repeat of the fact may bring others, with dates of their own."""

    digest: bytes  # SHA-256 over the ciphertext: the file's name in the store
    event_id: bytes
    position: int  # which of the fact's files; 0 is the letter itself
    contact_id: bytes
    record_class: str  # recording, attachment, letter
    stored_at: int
    keep_until: int


DDL = """
CREATE TABLE IF NOT EXISTS retention_contact_v1 (
    event_id     bytea PRIMARY KEY,
    contact_id   bytea NOT NULL,
    record_class text NOT NULL,
    received_at  bigint NOT NULL,
    keep_until   bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS retention_contact_v1_contact ON retention_contact_v1 (contact_id, keep_until);
CREATE INDEX IF NOT EXISTS retention_contact_v1_due ON retention_contact_v1 (keep_until);
CREATE TABLE IF NOT EXISTS retention_ticket_v1 (
    number        text PRIMARY KEY,
    version       integer NOT NULL,
    last_event_id bytea NOT NULL,
    record_class  text NOT NULL,
    closed_at     bigint,
    keep_until    bigint
) WITH (fillfactor = 85);
CREATE INDEX IF NOT EXISTS retention_ticket_v1_due ON retention_ticket_v1 (keep_until) WHERE keep_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS retention_file_v1 (
    digest       bytea NOT NULL,
    event_id     bytea NOT NULL,
    position     integer NOT NULL,
    contact_id   bytea NOT NULL,
    record_class text NOT NULL,
    stored_at    bigint NOT NULL,
    keep_until   bigint NOT NULL,
    PRIMARY KEY (digest, event_id)
);
CREATE INDEX IF NOT EXISTS retention_file_v1_contact ON retention_file_v1 (contact_id);
CREATE INDEX IF NOT EXISTS retention_file_v1_digest ON retention_file_v1 (digest, keep_until);
CREATE INDEX IF NOT EXISTS retention_file_v1_due ON retention_file_v1 (keep_until);
"""

VIEWS = """
CREATE OR REPLACE VIEW retention_contact AS
    SELECT event_id, contact_id, record_class, received_at, keep_until FROM retention_contact_v1;
CREATE OR REPLACE VIEW retention_ticket AS
    SELECT number, version, last_event_id, record_class, closed_at, keep_until FROM retention_ticket_v1;
CREATE OR REPLACE VIEW retention_file AS
    SELECT digest, event_id, position, contact_id, record_class, stored_at, keep_until FROM retention_file_v1;
CREATE OR REPLACE VIEW retention AS
    SELECT 'contact' AS kind, encode(contact_id, 'hex') AS id, max(keep_until) AS keep_until FROM retention_contact_v1 GROUP BY contact_id
    UNION ALL SELECT 'ticket', number, keep_until FROM retention_ticket_v1
    UNION ALL SELECT 'file', encode(digest, 'hex'), max(keep_until) FROM retention_file_v1 GROUP BY digest;
"""

CONTACT_TABLE = Table(
    name="retention_contact_v1",
    columns={"event_id": "bytea", "contact_id": "bytea", "record_class": "text", "received_at": "int8", "keep_until": "int8"},
    key=("event_id",),
)
TICKET_TABLE = Table(
    name="retention_ticket_v1",
    columns={
        "number": "text",
        "version": "int4",
        "last_event_id": "bytea",
        "record_class": "text",
        "closed_at": "int8",
        "keep_until": "int8",
    },
    key=("number",),
    on_conflict="replace",
)
FILE_TABLE = Table(
    name="retention_file_v1",
    columns={
        "digest": "bytea",
        "event_id": "bytea",
        "position": "int4",
        "contact_id": "bytea",
        "record_class": "text",
        "stored_at": "int8",
        "keep_until": "int8",
    },
    key=("digest", "event_id"),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAP_DAY = (2, 29)


def keep_until(start_us: int, years: int, zone: ZoneInfo) -> int:
    """Return the moment so many calendar years after `start_us` by the clock on the wall of `zone`; 29 February goes on to 1 March."""
    start = (_EPOCH + timedelta(microseconds=start_us)).astimezone(zone)
    if (start.month, start.day) == _LEAP_DAY and not _is_leap(start.year + years):
        start = start.replace(month=3, day=1)
    end = start.replace(year=start.year + years)
    return (end - _EPOCH) // timedelta(microseconds=1)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


_Stored = tuple[int, bytes, str]  # position, digest, record class


def _attached(files: tuple[StoredFile, ...]) -> Iterator[_Stored]:
    return ((position, file.digest, "attachment") for position, file in enumerate(files, start=1))


def _of_recording(event: RecordingStored) -> Iterator[_Stored]:
    yield 1, event.digest, "recording"


def _of_letter(event: LetterReceived) -> Iterator[_Stored]:
    yield 0, event.raw_digest, "letter"
    yield from _attached(event.attachments)


def _of_chat(event: ChatFileOffered) -> Iterator[_Stored]:
    if event.digest is not None:
        yield 1, event.digest, "attachment"


def _of_cabinet(event: CabinetRequestFiled) -> Iterator[_Stored]:
    return _attached(event.attachments)


def _of_complaint(event: ComplaintFiled) -> Iterator[_Stored]:
    return _attached(event.evidence)


#: Which files a fact brings.
FILES_OF: Mapping[type[Fact], Callable[[Any], Iterator[_Stored]]] = {
    RecordingStored: _of_recording,
    LetterReceived: _of_letter,
    ChatFileOffered: _of_chat,
    CabinetRequestFiled: _of_cabinet,
    ComplaintFiled: _of_complaint,
}


@dataclass(frozen=True)
class RetentionModel:
    """The registration of this read model, under one version of the reference data."""

    reference: Reference = field(repr=False)
    name: str = "retention"
    version: int = 1
    topics: tuple[str, ...] = (FACTS, TICKETS)
    ddl: str = DDL
    views: str = VIEWS
    wants_all: bool = False

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Add a row for each fact and each file, and fold decisions into their tickets' rows; a repeat adds only files not known yet."""
        contacts: dict[bytes, KeptContact] = {}
        files: dict[tuple[bytes, bytes], KeptFile] = {}
        for fact in (record.event for record in records if isinstance(record.event, Fact)):
            contacts.setdefault(fact.event_id, self.contact_row(fact))
            for row in self.file_rows(fact):
                files.setdefault((row.digest, row.event_id), row)
        CONTACT_TABLE.write(db, list(contacts.values()))
        FILE_TABLE.write(db, list(files.values()))
        if decisions := [r.event for r in records if isinstance(r.event, Decision)]:
            self.ticket_rows.fold_into(db, decisions)

    def contact_row(self, fact: Fact) -> KeptContact:
        """Return the row of one fact."""
        return KeptContact(fact.event_id, fact.contact_id, "contact", fact.received_at, self._floor("contact", fact.received_at))

    def file_rows(self, fact: Fact) -> Iterator[KeptFile]:
        """Return the rows of the files that `fact` speaks of."""
        files = FILES_OF.get(type(fact))
        for position, digest, record_class in files(fact) if files else ():
            until = self._floor(record_class, fact.received_at)
            yield KeptFile(digest, fact.event_id, position, fact.contact_id, record_class, fact.received_at, until)

    @cached_property
    def ticket_rows(self) -> TicketRows:
        """How decisions become rows of tickets."""
        handlers: Handlers = {TicketRegistered: _on_registered, TicketClosed: self._on_closed, TicketReopened: _on_reopened}
        return TicketRows(table=TICKET_TABLE, row=KeptTicket, handlers=handlers)

    def _on_closed(self, row: KeptTicket, event: TicketClosed) -> KeptTicket:
        return row._replace(closed_at=event.recorded_at, keep_until=self._floor("ticket", event.recorded_at))

    def _floor(self, record_class: str, start_us: int) -> int:
        return keep_until(start_us, self.reference.floor_years[record_class], self.reference.service_zone)


def _on_registered(_: KeptTicket | None, event: TicketRegistered) -> KeptTicket:
    return KeptTicket(event.number, event.version, event.event_id, "ticket", closed_at=None, keep_until=None)


def _on_reopened(row: KeptTicket, _: TicketReopened) -> KeptTicket:
    return row._replace(closed_at=None, keep_until=None)

"""The floor under projecting: the database alone, one session. Ready buffers of the very rows that the projector writes, the same
tables and indexes, the same statements and transactions, positions included; nothing is read, decoded, folded or packed meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from psycopg import Connection, sql

from events.envelope import TICKETS, Decision
from projectors import audit_log, database, positions, ticket_status
from projectors.audit_log import AUDIT_LOG
from projectors.model import ReadModel, Table, consumer_of, fold
from projectors.positions import Move, Position
from projectors.record import Record
from projectors.ticket_status import TICKET_STATUS
from tests.bench.packing import packed

MODELS: tuple[ReadModel, ...] = (AUDIT_LOG, TICKET_STATUS)
BATCH_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Ready:
    """One transaction, made beforehand: how far the positions move, and two buffers."""

    moves: Sequence[tuple[int, int, int]]  # partition, from, to
    audit: bytes
    status: bytes
    status_rows: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Where the seconds of one run of the floor went."""

    all_s: float
    positions_s: float
    audit_s: float
    status_s: float


def make_ready(records: Sequence[Record]) -> list[Ready]:
    """Return the transactions that bring `records`, in this order, into the tables."""
    rows: dict[str, Any] = {}
    ends: dict[int, int] = {}
    ready = []
    for start in range(0, len(records), BATCH_RECORDS):
        batch = records[start : start + BATCH_RECORDS]
        before = dict(ends)
        ends |= {record.partition: record.offset + 1 for record in batch}
        touched: dict[str, Any] = {}
        for record in batch:
            assert isinstance(record.event, Decision), "the bench puts nothing else there"
            number = record.event.number
            rows[number] = touched[number] = fold(ticket_status.HANDLERS, rows.get(number), record.event)
        moves = [(partition, before.get(partition, 0), end) for partition, end in ends.items() if before.get(partition, 0) != end]
        status = packed(list(ticket_status.TABLE.columns.values()), touched.values())
        audit = b"".join(audit_log.packed(batch))
        ready.append(Ready(moves, audit, status, len(touched)))
    return ready


def write(address: str, ready: Sequence[Ready]) -> Spent:
    """Bring `ready` into fresh tables of the database at `address`."""
    with database.connect(address, "floor") as db:
        database.prepare(db, MODELS)
        for partition in sorted({partition for one in ready for partition, *_ in one.moves}):
            positions.claim(db, [consumer_of(model) for model in MODELS], (TICKETS, partition), "none")
        clock = _Clock()
        for one in ready:
            with db.transaction():
                positions.advance(db, list(_moves(one)))
                clock.lap("positions")
                _copy(db, audit_log.TABLE._copy_to_table, one.audit)
                clock.lap("audit")
                _replace(db, ticket_status.TABLE, one.status)
                clock.lap("status")
            clock.lap("commit")
        return clock.spent()


def _moves(one: Ready) -> Iterator[Move]:
    for model in MODELS:
        for partition, since, until in one.moves:
            yield Move(consumer_of(model), (TICKETS, partition), Position(1, since, 1), until, 1)


def _copy(db: Connection[Any], statement: sql.Composed, buffer: bytes) -> None:
    with db.cursor().copy(statement) as copy:
        copy.write(buffer)


def _replace(db: Connection[Any], table: Table, buffer: bytes) -> None:
    db.execute(table._make_stage)
    _copy(db, table._copy_to_stage, buffer)
    db.execute(table._merge)


class _Clock:
    """Sums seconds by what they were spent on."""

    def __init__(self) -> None:
        self._began = self._last = perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._last
        self._last = now

    def spent(self) -> Spent:
        laps = self._laps
        return Spent(self._last - self._began, laps["positions"], laps["audit"], laps["status"])

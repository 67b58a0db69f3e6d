"""What a read model is: pure functions over rows, and the shared ways to store what they return.

Neither the functions nor this file know about Kafka, threads or positions; `consumers.loop` brings the records and moves the position. A
row is fed by one partition of one topic. What joins topics is joined when it is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

from psycopg import Connection, sql
from psycopg.types.string import BytesBinaryDumper

from events.envelope import Decision, Event
from projectors.record import Record
from projectors.remembering import memory_of

#: Up to so many rows go without a stage: a transaction that touches one empties it at its end, which takes longer than they do.
FEW_ROWS = 20


class ReadModel(Protocol):
    """What the loop needs of a read model."""

    @property
    def name(self) -> str:
        """Name of the view that readers ask."""

    @property
    def version(self) -> int:
        """Version of the rules and tables behind the view."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics it is made of."""

    @property
    def ddl(self) -> str:
        """Statements that make its tables, safe to repeat, without the name of a schema."""

    @property
    def views(self) -> str:
        """Statements that make its views over its tables, safe to repeat."""

    @property
    def wants_all(self) -> bool:
        """Whether it wants records of ended eras and unreadable ones too."""

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Store `records`, which come in the order of the log, inside the open transaction of `db`."""


def consumer_of(model: ReadModel) -> str:
    """Return the name under which the model's positions stand."""
    return f"{model.name}_v{model.version}"


class Fork(Exception):
    """Two different decisions claim the same version of a ticket. Call a person."""


class VersionHole(Exception):
    """A ticket's version jumps: something before it is missing. Call a person."""


R = TypeVar("R")
Handlers = Mapping[type[Event], Callable[[Any, Any], Any]]
_make = tuple.__new__


def fold(handlers: Handlers, row: Any, event: Decision) -> Any:
    """Fold one decision into a row; a repeat changes nothing, and the row's version follows every event, handled or not."""
    seen = row.version if row is not None else 0
    if event.version == seen and event.event_id != row.last_event_id:
        raise Fork(f"{event.number} version {event.version}")
    if event.version <= seen:
        return row
    if event.version != seen + 1:
        raise VersionHole(f"{event.number}: version {event.version} after {seen}")
    handler = handlers.get(type(event))
    changed = handler(row, event) if handler else row
    if changed[1] == event.version:
        return changed
    return _make(type(changed), (changed[0], event.version, event.event_id, *changed[3:]))


def changing(row: type[R], *columns: str) -> Callable[..., R]:
    """Return a function of a `row`, a NamedTuple of number, version, last_event_id and more, of an event, and of new values of `columns`.

    It returns the row with these, and with the event's version and id. As `_replace` does, but in a fifth of the time, because the copy is
    written out from the names of the columns: this runs for every decision.
    """
    names: tuple[str, ...] = row._fields  # type: ignore[attr-defined]  # no type says that a class is a NamedTuple
    new = {"version": "event.version", "last_event_id": "event.event_id", **{column: f"new_{column}" for column in columns}}
    values = ", ".join(new.get(name, f"row[{place}]") for place, name in enumerate(names))
    arguments = ", ".join(f"new_{names[names.index(column)]}" for column in columns)
    scope: dict[str, Any] = {"make": _make, "Row": row}
    exec(f"def change(row, event, {arguments}):\n    return make(Row, ({values}))", scope)  # noqa: S102 - our own names
    change: Callable[..., R] = scope["change"]
    return change


@dataclass(frozen=True)
class Table:
    """One table as COPY fills it: its name, its columns with their Postgres types, its key, and what happens to a row already there."""

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    on_conflict: str = "keep"  # keep the first, or replace it

    def write(self, db: Connection[Any], rows: Sequence[tuple[Any, ...]]) -> None:
        """Stage `rows` by COPY, then bring them into the table; a row already there is kept or replaced, as `on_conflict` says.

        Among `rows` the keys must be distinct: of two with one key nobody knows which is kept, and "replace" makes Postgres raise.
        """
        if not rows:
            return
        if len(rows) <= self._few_rows:
            db.execute(self._merge_few, [list(column) for column in zip(*rows, strict=True)])
            return
        db.execute(self._make_stage, prepare=False)  # two statements in one go: no server prepares that
        self._copy(db, self._copy_to_stage, rows)
        db.execute(self._merge)

    def append(self, db: Connection[Any], rows: Iterable[tuple[Any, ...]]) -> None:
        """Add `rows` whose keys cannot be there, straight by COPY."""
        self._copy(db, self._copy_to_table, rows)

    def append_packed(self, db: Connection[Any], pieces: Iterable[bytes]) -> None:
        """Add rows whose keys cannot be there; `pieces` are one binary COPY of all columns in their order."""
        with db.cursor().copy(self._copy_to_table) as copy:
            for piece in pieces:
                copy.write(piece)

    def _copy(self, db: Connection[Any], statement: sql.Composed, rows: Iterable[tuple[Any, ...]]) -> None:
        cursor = db.cursor()
        cursor.adapters.register_dumper(bytes, BytesBinaryDumper)  # the one that psycopg finds for bytea is three times as slow
        with cursor.copy(statement) as copy:
            copy.set_types(list(self.columns.values()))
            for row in rows:
                copy.write_row(row)

    @cached_property
    def _stage(self) -> sql.Identifier:
        return sql.Identifier(f"stage_{self.name}")

    @cached_property
    def _column_list(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))

    @cached_property
    def _make_stage(self) -> sql.Composed:
        # A commit empties it; within one transaction, where a batch is tried in parts, each part must find it empty too.
        make = sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {0} (LIKE {1}) ON COMMIT DELETE ROWS; DELETE FROM {0}")
        return make.format(self._stage, sql.Identifier(self.name))

    @cached_property
    def _copy_to_stage(self) -> sql.Composed:
        return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(self._stage, self._column_list)

    @cached_property
    def _copy_to_table(self) -> sql.Composed:
        return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(self.name), self._column_list)

    @cached_property
    def _merge(self) -> sql.Composed:
        return self._merge_from(sql.SQL("SELECT {} FROM {}").format(self._column_list, self._stage))

    @cached_property
    def _few_rows(self) -> int:
        return 0 if any(kind.endswith("[]") for kind in self.columns.values()) else FEW_ROWS  # unnest takes arrays of arrays apart

    @cached_property
    def _merge_few(self) -> sql.Composed:
        arrays = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.Identifier(kind)) for kind in self.columns.values())
        return self._merge_from(sql.SQL("SELECT * FROM unnest({})").format(arrays))

    def _merge_from(self, rows: sql.Composed) -> sql.Composed:
        changes = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(c)) for c in self.columns if c not in self.key)
        action = sql.SQL("UPDATE SET {}").format(changes) if self.on_conflict == "replace" else sql.SQL("NOTHING")
        key = sql.SQL(", ").join(map(sql.Identifier, self.key))
        return sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT ({}) DO {}").format(
            sql.Identifier(self.name), self._column_list, rows, key, action
        )


@dataclass(frozen=True)
class TicketRows:
    """One row per ticket: load the rows a batch touches, fold in memory, write each changed row once."""

    table: Table  # on_conflict="replace", key: the number
    row: type[Any]  # a NamedTuple with the table's columns: number, version, last_event_id, and the rest
    handlers: Handlers = field(repr=False)

    def fold_into(self, db: Connection[Any], decisions: Iterable[Decision]) -> None:
        """Fold `decisions`, in the order of the log, into their tickets' rows."""
        decisions = list(decisions)
        before = self._load(db, {d.number for d in decisions})
        after = dict(before)
        for decision in decisions:
            after[decision.number] = fold(self.handlers, after.get(decision.number), decision)
        changed = {number: row for number, row in after.items() if row is not before.get(number)}
        self.table.write(db, list(changed.values()))
        if (memory := memory_of(db)) is not None:
            memory.keep(self.table.name, changed)

    def _load(self, db: Connection[Any], numbers: set[str]) -> dict[str, Any]:
        if (memory := memory_of(db)) is not None:
            return memory.recall(self.table.name, numbers, partial(self._find, db))
        return self._find(db, numbers)

    def _find(self, db: Connection[Any], numbers: Iterable[str]) -> dict[str, Any]:
        return {row[0]: _make(self.row, row) for row in db.execute(self._select, [sorted(numbers)], binary=True)}

    @cached_property
    def _select(self) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self.table.columns))
        return sql.SQL("SELECT {} FROM {} WHERE number = ANY(%s)").format(columns, sql.Identifier(self.table.name))

"""What a read model is: pure functions over rows, and the shared ways to store what they return.

Neither the functions nor this file know about Kafka, threads or positions; `consumers.loop` brings the records and moves the position. A
row is fed by one partition of one topic. What joins topics is joined when it is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from psycopg import Connection, sql

from events.envelope import Decision, Event
from projectors.record import Record

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


Handlers = Mapping[type[Event], Callable[[Any, Any], Any]]


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
    return changed._make((changed[0], event.version, event.event_id, *changed[3:]))  # seven tenths of what _replace takes


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
        db.execute(self._make_stage)
        self._copy(db, self._copy_to_stage, rows)
        db.execute(self._merge)

    def append(self, db: Connection[Any], rows: Iterable[tuple[Any, ...]]) -> None:
        """Add `rows` whose keys cannot be there, straight by COPY."""
        self._copy(db, self._copy_to_table, rows)

    def _copy(self, db: Connection[Any], statement: sql.Composed, rows: Iterable[tuple[Any, ...]]) -> None:
        with db.cursor().copy(statement) as copy:
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
        return sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(self._stage, sql.Identifier(self.name))

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
    row: Callable[..., Any]  # a NamedTuple with the table's columns: number, version, last_event_id, and the rest
    handlers: Handlers = field(repr=False)

    def fold_into(self, db: Connection[Any], decisions: Iterable[Decision]) -> None:
        """Fold `decisions`, in the order of the log, into their tickets' rows."""
        decisions = list(decisions)
        before = self._load(db, {d.number for d in decisions})
        after = dict(before)
        for decision in decisions:
            after[decision.number] = fold(self.handlers, after.get(decision.number), decision)
        self.table.write(db, [row for number, row in after.items() if row is not before.get(number)])

    def _load(self, db: Connection[Any], numbers: set[str]) -> dict[str, Any]:
        return {row[0]: self.row(*row) for row in db.execute(self._select, [sorted(numbers)])}

    @cached_property
    def _select(self) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self.table.columns))
        return sql.SQL("SELECT {} FROM {} WHERE number = ANY(%s)").format(columns, sql.Identifier(self.table.name))

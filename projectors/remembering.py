"""A session that remembers the rows it has written, so that a rebuild need not ask the database for what it has just put there.

What it remembers goes the way of its transactions: a rollback, a part of one too, forgets what was written in it. Bounded: the rows that
were written longest ago are forgotten first, and asked for again when they are needed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg.transaction import Transaction

Select = Callable[[Sequence[Any]], Mapping[Any, Any]]


class Memory:
    """Rows by table and key. `complete`: nothing was written before the session began, so what it does not know is not there."""

    def __init__(self, most_rows: int = 0) -> None:
        self.complete = False
        self._most_rows = most_rows
        self._rows: dict[tuple[str, Any], Any] = {}
        self._undo: list[tuple[tuple[str, Any], Any]] = []
        self._depth = 0

    def recall(self, table: str, keys: Iterable[Any], select: Select) -> dict[Any, Any]:
        """Return the rows of those of `keys` that have one; `select` finds those that nobody remembers."""
        found, unknown = {}, []
        rows = self._rows
        for key in keys:
            row = rows.get((table, key))
            if row is None:
                unknown.append(key)
            else:
                found[key] = row
        if unknown and not self.complete:
            found.update(select(unknown))
        return found

    def keep(self, table: str, rows: Mapping[Any, Any]) -> None:
        """Remember `rows`, by key, which were written in the open transaction."""
        for key, row in rows.items():
            place = (table, key)
            self._undo.append((place, self._rows.get(place)))
            self._rows[place] = row

    def begin(self) -> int:
        """A transaction, or a part of one, begins; return the mark to roll back to."""
        self._depth += 1
        return len(self._undo)

    def end(self, mark: int, *, rolled_back: bool) -> None:
        """It has ended."""
        self._depth -= 1
        if rolled_back:
            while len(self._undo) > mark:
                place, before = self._undo.pop()
                if before is None:
                    del self._rows[place]
                else:
                    self._rows[place] = before
        elif not self._depth:
            self._undo.clear()
            self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        surplus = len(self._rows) - self._most_rows
        if surplus > 0:
            self.complete = False
            for place in [place for place, _ in zip(self._rows, range(surplus), strict=False)]:
                del self._rows[place]


class RememberingConnection(Connection[Any]):
    """A session with a memory; where its transactions begin and end, the memory follows."""

    memory: Memory

    @contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Transaction]:
        """Begin a transaction, or a part of one, as psycopg does."""
        mark, rolled_back = self.memory.begin(), True
        try:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
            rolled_back = force_rollback
        finally:
            self.memory.end(mark, rolled_back=rolled_back)


def memory_of(db: Connection[Any]) -> Memory | None:
    """Return the memory of the session, if it has one."""
    return db.memory if isinstance(db, RememberingConnection) else None

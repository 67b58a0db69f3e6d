"""Reads the rows of one table as two builds of a read model have it: those that differ, and named ones. Judges nothing."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, sql

_ROWS_AT_ONCE = 2_000


class Pair(NamedTuple):
    """One table on both sides."""

    stem: str
    old: sql.Identifier
    new: sql.Identifier
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    columns: tuple[str, ...]  # those of both, the key first


Key = tuple[Any, ...]
Row = tuple[Any, ...] | None
Sides = tuple[Row, Row]


def columns_of(db: Connection[Any], schema: str, table: str) -> dict[str, str]:
    """Return the kind of each column of a table, in their order."""
    rows = db.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """,
        [schema, table],
    )
    return dict(rows.fetchall())


def key_of(db: Connection[Any], schema: str, table: str) -> tuple[str, ...]:
    """Return the columns of a table's primary key, in their order."""
    rows = db.execute(
        """
        SELECT a.attname FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND i.indisprimary ORDER BY k.place
        """,
        [schema, table],
    )
    return tuple(name for (name,) in rows.fetchall())


def list_differing(db: Connection[Any], pair: Pair) -> Iterator[Sides]:
    """Return both sides of every row that differs, one after the other; inside a transaction."""
    ours, theirs = _listed(pair.columns, "o"), _listed(pair.columns, "n")
    on = sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier("o", k), sql.Identifier("n", k)) for k in pair.key)
    query = sql.SQL("SELECT {}, {} FROM {} AS o FULL JOIN {} AS n ON {} WHERE ROW({}) IS DISTINCT FROM ROW({})")
    width = len(pair.columns)
    with db.cursor("differing") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        for row in cursor.execute(query.format(ours, theirs, pair.old, pair.new, on, ours, theirs)):
            yield _side(row[:width]), _side(row[width:])


def _side(row: tuple[Any, ...]) -> Row:
    return None if row[0] is None else row  # a key's column is never null


def _listed(columns: Sequence[str], alias: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, column) for column in columns)


def find_rows(db: Connection[Any], pair: Pair, table: sql.Identifier, keys: Sequence[Key]) -> dict[Key, Row]:
    """Return the rows of `table`, one of the pair, that have these keys, by key."""
    arrays = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(kind)) for kind in pair.key_types)
    names = [sql.Identifier(f"k{place}") for place in range(len(pair.key))]
    on = sql.SQL(" AND ").join(sql.SQL("t.{} = w.{}").format(sql.Identifier(k), name) for k, name in zip(pair.key, names, strict=True))
    query = sql.SQL("SELECT {} FROM {} AS t JOIN unnest({}) AS w ({}) ON {}").format(
        _listed(pair.columns, "t"), table, arrays, sql.SQL(", ").join(names), on
    )
    rows = db.execute(query, [list(column) for column in zip(*keys, strict=True)])
    return {row[: len(pair.key)]: row for row in rows}


def count_rows(db: Connection[Any], pair: Pair) -> int:
    """Return how many rows the newer table holds."""
    row = db.execute(sql.SQL("SELECT count(*) FROM {}").format(pair.new)).fetchone()
    return int(row[0]) if row else 0

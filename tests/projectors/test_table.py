"""A table takes its rows through a stage: each time only those it was given."""

import pytest

from projectors import database as door
from projectors import ticket_status, ticket_versions
from projectors.model import FEW_ROWS, Table

TABLE = Table(name="word", columns={"name": "text", "count": "int4"}, key=("name",), on_conflict="replace")


@pytest.mark.parametrize("rows", [FEW_ROWS, FEW_ROWS + 5], ids=["few", "many"])
def test_two_writes_in_one_transaction_do_not_meet_in_the_stage(database: str, rows: int) -> None:
    with door.connect(database, "test") as db:
        db.execute("CREATE TABLE word (name text PRIMARY KEY, count integer NOT NULL)")

        with db.transaction():
            for count in (1, 2):
                with db.transaction():
                    TABLE.write(db, [(f"word {n}", count) for n in range(rows)])

        assert db.execute("SELECT count, count(*) FROM word GROUP BY count").fetchall() == [(2, rows)]


def test_tickets_and_their_versions_keep_the_same_columns_in_the_same_order(database: str) -> None:
    tables = (ticket_status.TABLE, ticket_versions.TABLE)
    query = (
        "SELECT attname, atttypid::regtype::text, attnotnull FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
    )

    with door.connect(database, "test") as db:
        door.prepare(db, [ticket_status.TICKET_STATUS, ticket_versions.TICKET_VERSIONS])
        there = [db.execute(query, [table.name]).fetchall() for table in tables]

    assert [[name for name, _, _ in columns] for columns in there] == [list(table.columns) for table in tables]
    assert there[1][: len(there[0])] == there[0]

"""The door to Postgres for everything that writes: connections that cannot block an heir, and tables made once.

Addresses come from the settings. Nothing here knows what the tables hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel

from projectors import builds, parked, positions
from projectors.model import ReadModel

#: A frozen process must not hold its rows longer than this, nor wait longer for somebody else's.
_SESSION_SETTINGS = {
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "statement_timeout": "120s",
    "timezone": "UTC",
    "client_min_messages": "warning",
    # A plan kept from when a table was tiny reads the whole table for every batch until somebody analyses it.
    "plan_cache_mode": "force_custom_plan",
}
CONNECT_TIMEOUT_S = 3  # per address; a server that swallows packets must not hold its reader back
#: How a connection is made and watched from this side, so that a peer that vanished is noticed.
LINE: Mapping[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_ONE_AT_A_TIME = 4_717_001  # key of the advisory lock under which tables are made


def connect(address: str, name: str, schema: str = "public") -> Connection[Any]:
    """Open a connection whose statements each stand alone unless a transaction is begun; raise psycopg.OperationalError if it fails."""
    options = " ".join(f"-c {key}={value}" for key, value in {**_SESSION_SETTINGS, "search_path": schema}.items())
    db = psycopg.connect(address, autocommit=True, application_name=name, options=options, **LINE)
    db.isolation_level = IsolationLevel.READ_COMMITTED
    db.prepare_threshold = 2
    return db


def prepare(db: Connection[Any], models: Sequence[ReadModel]) -> None:
    """Make the tables that all share and the first builds of `models`; make a model's views only when nothing of it serves yet."""
    with db.transaction():
        make_tables(db, ";".join((positions.DDL, parked.DDL, builds.DDL)))
        for model in models:
            builds.prepare_first(db, model)


def make_tables(db: Connection[Any], ddl: str) -> None:
    """Run statements that make tables if they are missing, one process at a time: two at once would trip over each other."""
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        db.execute(ddl)

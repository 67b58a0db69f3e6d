"""The door to Postgres for everything that writes: connections that cannot block an heir, and tables made once.

Addresses come from the settings. Nothing here knows what the tables hold.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection, Connection, IsolationLevel, OperationalError

from projectors import builds, parked, positions
from projectors.builds import comparing
from projectors.model import ReadModel
from projectors.remembering import Memory, RememberingConnection

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
C = TypeVar("C", bound=Connection[Any])
_ONE_AT_A_TIME = 4_717_001  # key of the advisory lock under which tables are made


def connect(address: str, name: str, schema: str = "public") -> Connection[Any]:
    """Open a connection whose statements each stand alone unless a transaction is begun; raise psycopg.OperationalError if it fails."""
    return _open(Connection[Any], address, name, schema)


def connect_remembering(address: str, name: str, memory: Memory) -> RememberingConnection:
    """Open the same with a memory of the rows it writes."""
    db = _open(RememberingConnection, address, name, "public")
    db.memory = memory
    return db


def _open(kind: type[C], address: str, name: str, schema: str) -> C:
    options = " ".join(f"-c {key}={value}" for key, value in {**_SESSION_SETTINGS, "search_path": schema}.items())
    db = kind.connect(address, autocommit=True, application_name=name, options=options, **LINE)
    db.isolation_level = IsolationLevel.READ_COMMITTED
    db.prepare_threshold = 2
    return db


def prepare(db: Connection[Any], models: Sequence[ReadModel]) -> None:
    """Make the tables that all share and the first builds of `models`; make a model's views only when nothing of it serves yet."""
    with db.transaction():
        make_tables(db, ";".join((positions.DDL, parked.DDL, builds.DDL, comparing.DDL)))
        for model in models:
            builds.prepare_first(db, model)


def make_tables(db: Connection[Any], ddl: str) -> None:
    """Run statements that make tables if they are missing, one process at a time: two at once would trip over each other."""
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        db.execute(ddl)


def hang_up(db: Connection[Any] | AsyncConnection[Any]) -> None:
    """End the line under a session, from whichever thread: what waits for the server fails at once, and the session is of no more use.

    To cancel a statement would first ask the silent server to stop, and wait for that too.
    """
    with suppress(OSError, OperationalError), socket.socket(fileno=os.dup(db.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)

"""The lock that one process holds while others wait to be its heir: a session that says nothing for a while is ended, and lets it go.

A process that is frozen outside a transaction would hold it for ever. So whoever holds it must speak now and then, also while it waits for
something else. Knows no work that is done under it.
"""

from typing import Any

from psycopg import Connection

FROZEN_AFTER_S = 10  # whoever says nothing for so long loses the lock, and the session with it


def end_when_frozen(db: Connection[Any], after_s: int | None = None) -> None:
    """Let the session of `db` end once it is idle for `after_s`, or FROZEN_AFTER_S: what it does later fails with OperationalError."""
    db.execute("SELECT set_config('idle_session_timeout', %s, false)", [f"{FROZEN_AFTER_S if after_s is None else after_s}s"])


def never_end(db: Connection[Any]) -> None:
    """Let the session of `db` be idle again for as long as it likes."""
    db.execute("RESET idle_session_timeout")


def stay(db: Connection[Any]) -> None:
    """Say something: the session, and with it the lock, lives on. Raises OperationalError when it has ended."""
    db.execute("SELECT 1")


def try_lock(db: Connection[Any], key: int) -> bool:
    """Take the advisory lock `key` for the session unless another one holds it; say whether it is ours."""
    row = db.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
    return bool(row and row[0])


def unlock(db: Connection[Any], key: int) -> None:
    """Let the lock go."""
    db.execute("SELECT pg_advisory_unlock(%s)", [key])

"""Hazards in how the databases are set up: what a commit is worth, and whether a frozen session lets its rows go."""

from collections.abc import Iterator
from typing import Any

import psycopg

from deploy.doctor.context import Context
from deploy.doctor.finding import Finding, hard

OLDEST_VERSION = 150_000
_DURABLE = {
    "fsync": "a crash of the machine damages the tables",
    "full_page_writes": "a crash of the machine damages the tables",
    "synchronous_commit": "a crash takes back what was committed, numbers of tickets and keys too",
}
SESSION = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")


def durability(context: Context) -> Iterator[Finding]:
    """Servers that forget what they committed, only read, or are too old."""
    for name, session in _databases(context):
        for setting, why in _DURABLE.items():
            if _shown(session, setting) == "off":
                remedy = f"set {setting}=on in the server's settings, for its databases and roles, and reload"
                yield hard("not-durable", f"{name} has {setting} off: {why}", remedy)
        if (version := session.info.server_version) < OLDEST_VERSION:
            yield hard("old-postgres", f"{name} is served by version {version // 10_000}", "move to PostgreSQL 15 or newer")
        if _shown(session, "transaction_read_only") == "on":
            what = f"{name} only reads: a standby, or default_transaction_read_only"
            yield hard("database-read-only", what, "let the address of the settings lead to the primary")


def _databases(context: Context) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    yield "the database", context.database
    yield "the vault's database", context.vault


def sessions(context: Context) -> Iterator[Finding]:
    """Time-outs that our sessions ask for and do not get, as behind a pooler that drops them: a frozen process then blocks its heir."""
    for setting in SESSION:
        row = context.database.execute("SELECT reset_val FROM pg_settings WHERE name = %s", [setting]).fetchone()
        if row is None or row[0] == "0":  # as the session began: the doctor's own bound came later
            what = f"a session of ours has no {setting}, though it asks for one"
            yield hard("session-without-bound", what, "connect without a pooler in between, or let it pass the startup parameter `options`")


def _shown(session: psycopg.Connection[Any], setting: str) -> str:
    row = session.execute("SELECT current_setting(%s)", [setting]).fetchone()
    assert row is not None, "every setting has a value"
    return str(row[0])

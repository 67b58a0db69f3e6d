"""I5: each read model built again from offset 0 equals the one that serves, row by row, looked at by SQL and not by the product's own eyes.

Builds beside the serving tables with `hotline rebuild`, compares while nothing moves, and drops what it built.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from deploy.processes import model_names
from deploy.stack import hotline
from events.settings import Settings
from tests.faults.invariants import Finding
from tests.journeys.stacks import wait_settled

COMMAND_LIMIT_S = 300.0


class CommandFailed(Exception):
    """A command ended in another way than it should; says what it wrote."""


def unequal(settings: Settings, models: Sequence[str] = ()) -> list[Finding]:
    """Build each model again and return where it differs from the one that serves. Needs running projectors and a quiet moment."""
    found: list[Finding] = []
    for model in models or model_names():
        build = ran(settings, "rebuild", model, "--json")["build"]
        try:
            wait_settled(settings)
            found += [Finding("I5 rebuild", line) for line in differing(settings.database, model, build)]
        finally:
            ran(settings, "rebuild", model, "--drop", build, "--json")
    return found


def differing(dsn: str, model: str, build: str) -> Iterator[str]:
    """Yield a line for each table of a build that differs from the serving one's."""
    with psycopg.connect(dsn) as db:
        schemas: dict[str, int] = dict(db.execute("SELECT consumer, number FROM read_model_build WHERE model = %s", [model]).fetchall())
        row = db.execute("SELECT consumer, tables FROM read_model_build WHERE model = %s AND serving", [model]).fetchone()
        assert row is not None, f"no build of {model} serves"
        serving, tables = row
        one, other = ("public" if schemas[name] == 1 else name for name in (serving, build))
        for table in tables:
            counts = [_rows_only_in(db, table, *pair) for pair in ((one, other), (other, one))]
            if any(counts):
                yield f"{table}: {counts[0]} rows only in {serving}, {counts[1]} only in {build}"


def _rows_only_in(db: psycopg.Connection[Any], table: str, one: str, other: str) -> int:
    query = sql.SQL("SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL SELECT * FROM {}) AS differing")
    row = db.execute(query.format(sql.Identifier(one, table), sql.Identifier(other, table))).fetchone()
    assert row is not None, "a count has a row"
    return int(row[0])


def ran(settings: Settings, *words: str, code: int = 0, limit_s: float = COMMAND_LIMIT_S) -> dict[str, Any]:
    """Run a `hotline` command that answers with one JSON object; raise CommandFailed when it ends with another code."""
    command = hotline(settings, *words)
    done = subprocess.run(
        command.words, cwd=command.folder, env=command.environment, capture_output=True, text=True, timeout=limit_s, check=False
    )
    if done.returncode != code:
        raise CommandFailed(f"hotline {' '.join(words)} ended with {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip().startswith("{") else {}
    return told

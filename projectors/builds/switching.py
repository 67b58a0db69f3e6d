"""Lets readers of a model ask another of its builds: the views of the model point at other tables, from one moment to the next.

Views and the name of the serving build change in one transaction that holds the positions of both builds, the new one's at or past the
old one's; so whatever a reader has seen, or holds a token of, is there afterwards too. A view's columns are only ever added to, in either
direction. The build that served goes on being followed, and may be switched back to.
"""

import time
from collections.abc import Mapping
from threading import Event as Flag
from time import monotonic
from typing import Any, NamedTuple

import structlog
from psycopg import Connection, sql
from psycopg.errors import DeadlockDetected, InvalidTableDefinition, LockNotAvailable

from events.crash_points import reached
from events.places import Partition
from projectors.builds import FOLLOWING, PUBLIC, Build, list_builds, newest_beside, serving_of
from projectors.builds.comparing import Kept, last_comparison
from projectors.builds.views import bodies_of, columns_of

COMPARED_FOR_S = 600.0  # so long a comparison is worth something, to a switch and to the command that compares before it
_LIMIT_S = 20.0
_HELD_LIMIT_S = 0.9  # how long the old build may be held while the new one comes up to it
_PAUSE_S, _LOOK_EVERY_S = 0.1, 0.005
_POSITIONS_LIMIT = "900ms"  # less than Postgres takes to look for a deadlock; only followers wait for these
_VIEWS_LIMIT = "250ms"  # readers queue behind a lock on a view that waits

log = structlog.get_logger()


class Refused(Exception):
    """The switch was not made; `str()` says why, in a line."""


class Differs(Refused):
    """The builds differ where no rule expects it."""

    def __init__(self, text: str, differences: list[list[str]]) -> None:
        super().__init__(text)
        self.differences = differences  # table, ticket, column, old, new


class Switched(NamedTuple):
    """What was done."""

    model: str
    old: Build
    new: Build
    attempts: int
    took_s: float  # all together
    held_s: float  # that writers and readers were held


def choose(there: list[Build], *, back: bool) -> tuple[Build, Build]:
    """Return the serving build and the one to switch to: the newest, or with `back` the one that served last. Raises Refused."""
    old = serving_of(there)
    if old is None:
        raise Refused("no build of it serves yet")
    if back:
        served = [build for build in there if not build.serving and build.served_since is not None]
        new = max(served, key=lambda build: build.served_since or 0, default=None)
        if new is None:
            raise Refused("no other build of it has served")
    else:
        new = newest_beside(there)
        if new is None:
            raise Refused(f"{old.consumer} serves, and there is nothing newer")
    if new.state != FOLLOWING:
        raise Refused(f"{new.consumer} is not ready: {new.state}")
    return old, new


def check(db: Connection[Any], old: Build, new: Build) -> None:
    """Raise Refused unless the two were compared lately and no unexpected difference was found."""
    kept = last_comparison(db, old, new)
    if kept is None or not is_recent(kept):
        raise Refused(f"{new.consumer} was not compared with {old.consumer} within the last {COMPARED_FOR_S / 60:.0f} minutes")
    if kept.unexpected:
        named = sorted({ticket for _, ticket, *_ in kept.differences})
        more = ", …" if len(named) < kept.unexpected else ""
        raise Differs(f"{kept.unexpected} differences that no rule expects: {', '.join(named)}{more}", kept.differences)


def is_recent(kept: Kept) -> bool:
    """Tell whether a comparison is worth something yet."""
    return time.time() - kept.compared_at / 1e6 <= COMPARED_FOR_S


def switch(db: Connection[Any], model: str, *, back: bool = False) -> Switched:
    """Let the newest build of `model` serve, or with `back` the one that served before. `db` is outside a transaction.

    Raises Refused, at once or when the new build does not come up to the old one within 20 s. Going back asks for no comparison.
    """
    began_s, attempts = monotonic(), 0
    while True:
        attempts += 1
        held_s = monotonic()
        try:
            done = _try(db, model, back=back)
        except (LockNotAvailable, DeadlockDetected) as failure:
            done, why = None, f"a lock was not to be had ({type(failure).__name__})"
        else:
            why = "the new build does not come up to the old one: is a projector following it?"
        if done is not None:
            reached("switch.committed")
            return Switched(model, *done, attempts, monotonic() - began_s, monotonic() - held_s)
        if monotonic() - began_s > _LIMIT_S:
            raise Refused(why)
        Flag().wait(_PAUSE_S)


def _try(db: Connection[Any], model: str, *, back: bool) -> tuple[Build, Build] | None:
    """Switch, unless the new build is behind and does not come up in a moment."""
    with db.transaction():
        db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_POSITIONS_LIMIT))
        db.execute("SELECT FROM read_model_build WHERE model = %s ORDER BY version, number FOR UPDATE", [model])  # one switch at a time
        old, new = choose(list_builds(db, [model]), back=back)
        if not back:
            check(db, old, new)
        statements = _statements(db, new)
        goal = _lock_positions(db, old)
        if not _comes_up(db, new, goal):
            return None
        _lock_positions(db, new)
        db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_VIEWS_LIMIT))
        for statement in statements:
            try:
                db.execute(statement)
            except InvalidTableDefinition as changed:
                raise Refused(f"the views of {new.consumer} change columns that readers know: {changed.diag.message_primary}") from None
        db.execute("UPDATE read_model_build SET serving = false WHERE consumer = %s", [old.consumer])
        db.execute(
            "UPDATE read_model_build SET serving = true, served_since = %s WHERE consumer = %s", [time.time_ns() // 1000, new.consumer]
        )
        reached("switch.before_commit")
    return old, new


def _lock_positions(db: Connection[Any], build: Build) -> Mapping[Partition, int]:
    rows = db.execute(
        "SELECT topic, partition, next_offset FROM position WHERE consumer = %s ORDER BY topic, partition FOR UPDATE", [build.consumer]
    )
    return {(topic, number): next_offset for topic, number, next_offset in rows}


def _comes_up(db: Connection[Any], new: Build, goal: Mapping[Partition, int]) -> bool:
    """Wait a moment until `new` is at or past `goal`, where the old one is held."""
    end_s = monotonic() + _HELD_LIMIT_S
    while True:
        rows = db.execute("SELECT topic, partition, next_offset FROM position WHERE consumer = %s", [new.consumer])
        at = {(topic, number): next_offset for topic, number, next_offset in rows}
        if all(at.get(place, 0) >= past for place, past in goal.items()):
            return True
        if monotonic() > end_s:
            return False
        Flag().wait(_LOOK_EVERY_S)


def _statements(db: Connection[Any], build: Build) -> list[sql.Composed]:
    """Return what makes the public views over the tables of `build`.

    A column that readers know and this build's views lack is null: an older version is gone back to without taking anything away.
    """
    made, shows = [], columns_of(db, build)
    for name, body in bodies_of(build.views):
        own = shows[name]
        known = dict(
            db.execute(
                """
                SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
                """,
                [PUBLIC, name],
            ).fetchall()
        )
        columns = [_column(column, None if column in own else kind) for column, kind in known.items()]
        columns += [sql.Composed([sql.Identifier(column)]) for column in own if column not in known]
        listed = sql.SQL(", ").join(columns)
        made.append(
            sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM ({}) AS v").format(sql.Identifier(PUBLIC, name), listed, sql.SQL(body))
        )
    return made


def _column(name: str, missing_kind: str | None) -> sql.Composed:
    if missing_kind is None:
        return sql.Composed([sql.Identifier(name)])
    return sql.SQL("NULL::{} AS {}").format(sql.SQL(missing_kind), sql.Identifier(name))

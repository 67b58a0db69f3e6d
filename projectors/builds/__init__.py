"""The builds of each read model: which there are, where their tables lie, and which one readers ask.

A build is the tables that one version of a model's rules made from offset 0. The very first of a model lies in the schema `public`; one
that is made beside another lies in a schema of its own, under the same names of tables, and follows as a consumer of its own. Views in
`public` point at the tables of the serving build; who makes them point elsewhere is `projectors.builds.switching`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from projectors.model import ReadModel

PUBLIC = "public"
FIRST = 1
BUILDING, FOLLOWING, LEAVING = "building", "following", "leaving"

DDL = """
CREATE TABLE IF NOT EXISTS read_model_build (
    model        text    NOT NULL,
    version      integer NOT NULL,
    number       integer NOT NULL,
    consumer     text    NOT NULL UNIQUE,
    state        text    NOT NULL,  -- building: its rebuild feeds it; following: projectors do; leaving: it is being dropped
    serving      boolean NOT NULL DEFAULT false,
    tables       text[]  NOT NULL DEFAULT '{}',
    views        text    NOT NULL DEFAULT '',  -- statements that make its model's views over its tables
    served_since bigint,  -- when it was last switched to, 0 for a model's very first; none: it never served
    records      bigint,  -- how its rebuild went: records read, and the time for them and for the indexes
    read_ms      bigint,
    index_ms     bigint,
    PRIMARY KEY (model, version, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS read_model_build_serving ON read_model_build (model) WHERE serving;
"""
_COLUMNS = "model, version, number, state, serving, tables, views, served_since"

_HELD = 4_717_006  # class of the advisory locks of builds that somebody follows
_MAKES_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_INDEX_LIMIT = "6h"
_INDEX_MEMORY = "256MB"
_LET_GO_LIMIT = "20s"


class BuildGone(Exception):
    """The build was dropped, or somebody else feeds it now: let go of it."""


class StillFollowed(Exception):
    """Somebody still follows the build, so its tables cannot go."""


class Build(NamedTuple):
    """One build of a read model."""

    model: str
    version: int
    number: int
    state: str = FOLLOWING
    serving: bool = False
    tables: Sequence[str] = ()
    views: str = ""
    served_since: int | None = None

    @property
    def consumer(self) -> str:
        """Name under which its positions stand."""
        name = f"{self.model}_v{self.version}"
        return name if self.number == FIRST else f"{name}_b{self.number}"

    @property
    def schema(self) -> str:
        """Schema in which its tables lie."""
        return PUBLIC if self.number == FIRST else self.consumer


def first_of(model: ReadModel) -> Build:
    """Return the first build of the model's version."""
    return Build(model.name, model.version, FIRST)


def tables_of(model: ReadModel) -> list[str]:
    """Return the names of the model's tables."""
    return _MAKES_TABLE.findall(model.ddl)


def prepare_first(db: Connection[Any], model: ReadModel) -> None:
    """Make the tables and views of a model's very first build; another version's are made by a rebuild. Inside a transaction."""
    first = first_of(model)
    if not model.views:
        db.execute(model.ddl)
        return
    there = list_builds(db, [model.name])
    if there and not any(build[:3] == first[:3] for build in there):
        return
    db.execute(model.ddl)
    serving = serving_of(there)
    known = db.execute("SELECT to_regclass(%s)", [model.name]).fetchone()
    if (known is None or known[0] is None) and (serving is None or serving[:3] == first[:3]):
        db.execute(model.views)
    if not there:
        _add(db, first._replace(serving=True, tables=tables_of(model), views=model.views, served_since=0))


def _add(db: Connection[Any], build: Build) -> None:
    db.execute(
        f"INSERT INTO read_model_build ({_COLUMNS}, consumer) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",  # noqa: S608 - our own names
        [*build[:5], list(build.tables), build.views, build.served_since, build.consumer],
    )


def list_builds(db: Connection[Any], models: Iterable[str] | None = None) -> list[Build]:
    """Return all builds, or those of the named models, by model, version and number."""
    rows = db.execute(
        f"""
        SELECT {_COLUMNS} FROM read_model_build WHERE %(all)s OR model = ANY(%(names)s)
        ORDER BY model, version, number
        """,  # noqa: S608 - our own names
        {"all": models is None, "names": list(models or ())},
    )
    return [Build(*row) for row in rows]


def serving_of(there: Iterable[Build]) -> Build | None:
    """Return the one that readers ask, among the builds of one model."""
    return next((build for build in there if build.serving), None)


def newest_beside(there: Sequence[Build]) -> Build | None:
    """Return the newest of one model's builds if it is newer than the one that serves."""
    newest = max(there, key=lambda build: (build.version, build.number), default=None)
    return newest if newest is not None and not newest.serving else None


def look_into(db: Connection[Any], builds: Sequence[Build]) -> None:
    """Let the session see the tables of `builds` under their plain names; at most one build of each model."""
    schemas = [*dict.fromkeys(build.schema for build in builds if build.schema != PUBLIC), PUBLIC]
    db.execute(sql.SQL("SET search_path TO {}").format(sql.SQL(", ").join(map(sql.Identifier, schemas))))


def hold(db: Connection[Any], build: Build) -> None:
    """Keep the build from being dropped as long as the session lives; raise BuildGone when it is, or is about to be.

    A session whose build is gone would find the tables of another one under their plain names.
    """
    db.execute("SELECT pg_advisory_lock_shared(%s, hashtext(%s))", [_HELD, build.consumer])
    row = db.execute("SELECT state FROM read_model_build WHERE consumer = %s", [build.consumer]).fetchone()
    if row is None or row[0] == LEAVING:
        raise BuildGone(build.consumer)


def make_beside(db: Connection[Any], model: ReadModel) -> Build:
    """Make the tables of the model's next build, without their secondary indexes, in a schema of its own; nobody reads them yet."""
    with db.transaction():
        db.execute("LOCK TABLE read_model_build IN SHARE ROW EXCLUSIVE MODE")
        numbers = [build.number for build in list_builds(db, [model.name]) if build.version == model.version]
        number = max([FIRST, *numbers]) + 1
        build = Build(model.name, model.version, number, BUILDING, tables=tables_of(model), views=model.views)
        db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(build.schema)))
        _forget_comparisons(db, build)
        _with_tables_first(db, build)
        make_tables(db, model, build.schema)
        _add(db, build)
    return build


def make_tables(db: Connection[Any], model: ReadModel, schema: str) -> None:
    """Make the model's tables in `schema`, which must be where the session makes tables, without their secondary indexes."""
    db.execute(model.ddl)
    for (index,) in db.execute(_SECONDARY, [schema]).fetchall():
        db.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, index)))


_SECONDARY = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND NOT i.indisprimary
"""


def make_indexes(db: Connection[Any], model: ReadModel, build: Build) -> None:
    """Make what `make_beside` left out, and count the rows for the planner. Repeating it costs little."""
    with db.transaction():
        _with_tables_first(db, build)
        db.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(_INDEX_LIMIT))
        db.execute(sql.SQL("SET LOCAL maintenance_work_mem = {}").format(_INDEX_MEMORY))
        db.execute(model.ddl)
        for table in build.tables:
            db.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(build.schema, table)))


def _with_tables_first(db: Connection[Any], build: Build) -> None:
    db.execute(sql.SQL("SET LOCAL search_path TO {}, public").format(sql.Identifier(build.schema)))


def hand_over(db: Connection[Any], build: Build, records: int, read_ms: int, index_ms: int) -> Build:
    """Let projectors follow the build from now on; keep how its rebuild went. Raises BuildGone when it is being dropped."""
    handed = db.execute(
        "UPDATE read_model_build SET state = %s, records = %s, read_ms = %s, index_ms = %s WHERE consumer = %s AND state <> %s",
        [FOLLOWING, records, read_ms, index_ms, build.consumer, LEAVING],
    )
    if not handed.rowcount:
        raise BuildGone(build.consumer)
    return build._replace(state=FOLLOWING)


class Taken(NamedTuple):
    """How long an earlier rebuild of a model took."""

    records: int
    read_ms: int
    index_ms: int


def last_taken(db: Connection[Any], model: str) -> Taken | None:
    """Return how the newest rebuild of a model that came to its end went."""
    row = db.execute(
        """
        SELECT records, read_ms, index_ms FROM read_model_build WHERE model = %s AND records > 0
        ORDER BY version DESC, number DESC LIMIT 1
        """,
        [model],
    ).fetchone()
    return None if row is None else Taken(*row)


def drop(db: Connection[Any], build: Build) -> None:
    """Forget a build: its tables, positions, comparisons and what is parked for it.

    It is taken from its followers first, and only once they have let go its tables are removed; an interrupted drop is done again. Raises
    StillFollowed when somebody holds it for too long.
    """
    query = "UPDATE read_model_build SET state = %s WHERE consumer = %s AND NOT serving"
    if not db.execute(query, [LEAVING, build.consumer]).rowcount:
        raise BuildGone(f"{build.consumer} serves, or is gone already")
    with db.transaction():
        db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LET_GO_LIMIT))
        try:
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_HELD, build.consumer])
        except LockNotAvailable:
            raise StillFollowed(build.consumer) from None
        _remove(db, build)


def _remove(db: Connection[Any], build: Build) -> None:
    for table in ("read_model_build", "position", "parked", "redrive_request"):
        db.execute(sql.SQL("DELETE FROM {} WHERE consumer = %s").format(sql.Identifier(table)), [build.consumer])
    _forget_comparisons(db, build)
    if build.schema == PUBLIC:
        for name in build.tables:
            db.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(PUBLIC, name)))
    else:
        db.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(build.schema)))


def _forget_comparisons(db: Connection[Any], build: Build) -> None:
    """Its number may be given again, and what was said of these rows must not speak for those."""
    db.execute("DELETE FROM read_model_comparison WHERE %s IN (old_consumer, new_consumer)", [build.consumer])

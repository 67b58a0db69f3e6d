"""The builds of each read model: which there are, where their tables lie, and which one readers ask.

A build is the tables that one version of a model's rules made from offset 0. The first of a version lies in the schema `public`; one that
is made again beside it lies in a schema of its own, under the same names of tables, and follows as a consumer of its own. Views in `public`
point at the tables of the serving build; who makes them point elsewhere is `projectors.switching`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, sql

from projectors.model import ReadModel, consumer_of

PUBLIC = "public"
FIRST = 1
BUILDING, FOLLOWING = "building", "following"

DDL = """
CREATE TABLE IF NOT EXISTS read_model_build (
    model    text    NOT NULL,
    version  integer NOT NULL,
    number   integer NOT NULL,
    consumer text    NOT NULL UNIQUE,
    state    text    NOT NULL,  -- building: its rebuild feeds it; following: projectors do
    serving  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (model, version, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS read_model_build_serving ON read_model_build (model) WHERE serving;
"""


class Build(NamedTuple):
    """One build of a read model."""

    model: str
    version: int
    number: int
    state: str = FOLLOWING
    serving: bool = False

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


def prepare_first(db: Connection[Any], model: ReadModel) -> None:
    """Make the tables of the model's first build, and its views when no build of the model serves yet. Inside a transaction."""
    db.execute(model.ddl)
    if not model.views:
        return
    db.execute(
        """
        INSERT INTO read_model_build (model, version, number, consumer, state, serving)
        SELECT %(name)s, %(version)s, %(first)s, %(consumer)s, %(state)s,
            NOT EXISTS (SELECT FROM read_model_build WHERE model = %(name)s AND serving)
        ON CONFLICT DO NOTHING
        """,
        {"name": model.name, "version": model.version, "first": FIRST, "consumer": consumer_of(model), "state": FOLLOWING},
    )
    known = db.execute("SELECT to_regclass(%s)", [model.name]).fetchone()
    if known is None or known[0] is None:
        db.execute(model.views)


def list_builds(db: Connection[Any], models: Iterable[str] | None = None) -> list[Build]:
    """Return all builds, or those of the named models, by model, version and number."""
    rows = db.execute(
        """
        SELECT model, version, number, state, serving FROM read_model_build WHERE %(all)s OR model = ANY(%(names)s)
        ORDER BY model, version, number
        """,
        {"all": models is None, "names": list(models or ())},
    )
    return [Build(*row) for row in rows]


def look_into(db: Connection[Any], builds: Sequence[Build]) -> None:
    """Let the session see the tables of `builds` under their plain names; at most one build of each model."""
    schemas = [*dict.fromkeys(build.schema for build in builds if build.schema != PUBLIC), PUBLIC]
    db.execute(sql.SQL("SET search_path TO {}").format(sql.SQL(", ").join(map(sql.Identifier, schemas))))

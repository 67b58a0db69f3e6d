"""What readers find in the views of a build: the statements that make them taken apart, and the columns that each shows."""

import re
from typing import Any

from psycopg import Connection, sql

from projectors.builds import PUBLIC, Build

_VIEW = re.compile(r"\s*CREATE OR REPLACE VIEW (\w+) AS\s+(.*)", re.DOTALL)


def bodies_of(views: str) -> list[tuple[str, str]]:
    """Return the name and the query of each view that the statements of a model make; raise ValueError for any other statement."""
    found = []
    for statement in filter(str.strip, views.split(";")):
        match = _VIEW.match(statement)
        if match is None:
            raise ValueError("a model's views are made by CREATE OR REPLACE VIEW alone")
        found.append((match[1], match[2]))
    return found


def columns_of(db: Connection[Any], build: Build) -> dict[str, list[str]]:
    """Return the columns of each view that `build` would show. Inside a transaction, whose search_path it sets."""
    db.execute(sql.SQL("SET LOCAL search_path TO {}, {}").format(sql.Identifier(build.schema), sql.Identifier(PUBLIC)))
    found = {}
    for name, body in bodies_of(build.views):
        description = db.execute(sql.SQL("SELECT * FROM ({}) AS v LIMIT 0").format(sql.SQL(body))).description or ()
        found[name] = [column.name for column in description]
    return found

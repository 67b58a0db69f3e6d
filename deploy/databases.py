"""The door to Postgres for commands: a session that says in one line what is wrong when there is none, or no tables yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.errors import UndefinedTable

from deploy.problems import PartAway
from projectors import database


@contextmanager
def asking(address: str, name: str) -> Iterator[Connection[Any]]:
    """A session on the read models' database. Raises PartAway when it does not answer or no process has made its tables yet."""
    try:
        with database.connect(address, name) as db:
            yield db
    except OperationalError:
        raise PartAway("the database does not answer") from None
    except UndefinedTable:
        raise PartAway("the database has no tables yet: start the projectors, or `hotline up`") from None

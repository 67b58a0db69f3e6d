"""A healthy Kafka and Postgres of these tests' own, as production runs them, to be harmed and mended again by each test."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from consumers import outbox
from deploy.parts.local import LocalParts
from deploy.parts.ports import pick_free
from deploy.topics import apply_topics
from events.settings import Settings
from projectors import database
from projectors.registry import PROJECTIONS

_PORTS, _STOP_LIMIT_S = 5, 30


@contextmanager
def own_parts(**named: str) -> Iterator[Settings]:
    """Parts in a temporary home on free ports, durable; ended even if pytest is killed. `named` are settings that replace some."""
    home = Path(tempfile.mkdtemp(prefix="hotline-doctor-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    port = pick_free(_PORTS)
    ports = {"kafka_port": port, "postgres_port": port + 2, "intake_port": port + 3, "api_port": port + 4}
    settings = Settings.model_validate({"home": home, **ports, **named})
    parts = LocalParts(settings, durable=True)
    try:
        parts.start()
        yield settings
    finally:
        parts.stop()
        leash.communicate(timeout=_STOP_LIMIT_S)


@pytest.fixture(scope="package")
def own() -> Iterator[Settings]:
    """A set-up without a flaw: topics made, tables made, nothing in them."""
    with own_parts() as settings:
        apply_topics(settings.kafka_access)
        with database.connect(settings.database, "test") as db:
            database.prepare(db, PROJECTIONS)
            database.make_tables(db, outbox.DDL)
        yield settings


@pytest.fixture
def db(own: Settings) -> Iterator[psycopg.Connection]:
    """A session of the database's owner, each statement alone."""
    with psycopg.connect(own.database, autocommit=True) as connection:
        yield connection

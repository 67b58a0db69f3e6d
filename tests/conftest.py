"""Fixtures shared by all tests: `stack` (a real Kafka and a real Postgres, once per session) and `database` (a fresh one per test).

`round_seed` gives a test, or a fixture of its module, another number in each of the `--rounds`.
"""

import logging
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from deploy.parts.local import LocalParts
from deploy.parts.ports import pick_free
from deploy.topics import apply_topics
from events.settings import Settings
from tests.containers import NoContainers, in_containers
from tests.lanes import Lanes, needs_a_stack

_PORTS = 5  # Kafka, its controller, Postgres, the two applications
_STOP_LIMIT_S = 30
FIRST_SEED, MOST_ROUNDS = 424242, 100


def _rounds(text: str) -> int:
    rounds = int(text) if text.isdecimal() else 0
    if not 1 <= rounds <= MOST_ROUNDS:
        raise pytest.UsageError(f"--rounds is a number from 1 to {MOST_ROUNDS}")
    return rounds


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make faults` play more than one round."""
    parser.addoption("--rounds", type=_rounds, default=1, metavar="N", help="how many seeds the tests with a `round_seed` play, 1 … 100")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give whatever asks for a `round_seed` one per round; what it sets up lives for its module."""
    if "round_seed" in metafunc.fixturenames:
        rounds: int = metafunc.config.getoption("--rounds")
        metafunc.parametrize("round_seed", range(FIRST_SEED, FIRST_SEED + rounds), scope="module")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; all else stays in its random order."""
    items.sort(key=lambda item: not needs_a_stack(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share tests out by their lanes."""
    return Lanes(config, log)


@pytest.fixture(autouse=True)
def hooks_as_they_were() -> Iterator[None]:
    """A command run inside a test sets up logging for its process; what it hooked in is taken out again."""
    before = sys.excepthook, threading.excepthook, logging.root.handlers[:]
    yield
    sys.excepthook, threading.excepthook, logging.root.handlers[:] = before


@pytest.fixture(scope="session")
def stack() -> Iterator[Settings]:
    """Settings of a running Kafka (topics made) and Postgres of this session's own, in a temporary home on free ports.

    Shared by all tests: use topics by keys of your own, and `database` instead of the database `hotline`. Ends even if pytest is killed.
    HOTLINE_TEST_PARTS=containers takes both servers out of containers.
    """
    try:
        with source_of_parts()(pick_free(_PORTS)) as settings:
            apply_topics(settings.kafka_access)
            yield settings
    except NoContainers as none:
        pytest.fail(f"HOTLINE_TEST_PARTS=containers: {none}", pytrace=False)


def source_of_parts() -> Callable[[int], AbstractContextManager[Settings]]:
    """Return where HOTLINE_TEST_PARTS takes the servers from; they get ports from the one it is given."""
    sources = {"local": _on_this_machine, "containers": in_containers}
    named = os.environ.get("HOTLINE_TEST_PARTS", "local")
    if named not in sources:
        raise pytest.UsageError(f"HOTLINE_TEST_PARTS is {' or '.join(sources)}")
    return sources[named]


@contextmanager
def _on_this_machine(port: int) -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    settings = Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    parts = LocalParts(settings, durable=False)
    try:
        parts.start()
        yield settings
    finally:
        parts.stop()
        leash.communicate(timeout=_STOP_LIMIT_S)


@pytest.fixture
def database(stack: Settings) -> Iterator[str]:
    """Address of a database made for this test alone and dropped after it."""
    name = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield stack.database.replace("/hotline?", f"/{name}?")
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

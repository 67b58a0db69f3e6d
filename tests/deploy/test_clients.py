"""The worked plain consumer, record by record, against a small registry; on a real Kafka it runs in tests/interop."""

import sqlite3
from collections.abc import Callable, Iterator
from urllib.error import HTTPError

import pytest
from confluent_kafka import Message

from deploy.clients import tickets_to_sqlite
from deploy.clients.tickets_to_sqlite import TABLES, take
from deploy.registry.pushing import push
from events.envelope import TICKETS, Event
from events.outcomes import EraOpened
from events.wire.codec import load_codec
from tests.deploy.registries import ConfluentStandin, serving
from tests.made import closed, made, registered, taken

NUMBER = "CMP-2026-000042"
Follow = Callable[..., None]


@pytest.fixture
def registry() -> Iterator[ConfluentStandin]:
    tickets_to_sqlite.SCHEMAS.clear()
    yield ConfluentStandin()
    tickets_to_sqlite.SCHEMAS.clear()


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made_here = sqlite3.connect(":memory:", isolation_level=None)
    made_here.executescript(TABLES)
    yield made_here
    made_here.close()


@pytest.fixture
def follow(registry: ConfluentStandin, db: sqlite3.Connection) -> Iterator[Follow]:
    """Give events or bytes to the consumer as the records of partition 3 from an offset on."""
    with serving(registry) as address:
        push(address)

        def give(*values: Event | bytes | None, start: int = 0) -> None:
            for offset, value in enumerate(values, start):
                raw = load_codec().encode(value, "/tests", topic=TICKETS).value if isinstance(value, Event) else value
                take(db, Message(topic=TICKETS, partition=3, offset=offset, value=raw), address)

        yield give


def kept(db: sqlite3.Connection) -> list[tuple[int, str]]:
    return [(version, event_id) for version, event_id in db.execute("SELECT version, event_id FROM decisions ORDER BY version")]


def of(*events: Event) -> list[tuple[int, str]]:
    return [(version, event.event_id.hex()) for version, event in enumerate(events, 1)]


def test_a_repeat_changes_nothing(follow: Follow, db: sqlite3.Connection) -> None:
    first, second = registered(NUMBER), taken(2, NUMBER)

    follow(first, second, first, second)

    assert kept(db) == of(first, second)
    assert db.execute("SELECT * FROM place").fetchall() == [(3, 4, 0)]


def test_what_an_era_ended_counts_for_nothing_and_what_lay_before_its_mark_counts(follow: Follow, db: sqlite3.Connection) -> None:
    first, void, valid = registered(NUMBER), taken(2, NUMBER), taken(2, NUMBER, era=2)

    follow(first, made(EraOpened, era=2, marks=()), void, valid, closed(3, NUMBER))

    assert kept(db) == of(first, valid)


def test_strange_bytes_are_passed_by_and_their_place_is_kept(follow: Follow, db: sqlite3.Connection) -> None:
    event = registered(NUMBER)
    cut = load_codec().encode(event, "/tests", topic=TICKETS).value[:20]

    follow(b"not one of ours", None, b"\0\0\0\0\x11whatever", cut, event)

    assert kept(db) == of(event)
    assert db.execute("SELECT next_offset FROM place").fetchall() == [(5,)]


def test_a_schema_that_the_registry_lacks_stops_it_where_it_stands(
    follow: Follow, registry: ConfluentStandin, db: sqlite3.Connection
) -> None:
    follow(registered(NUMBER))
    newer = taken(2, NUMBER)
    del registry.schemas[int.from_bytes(load_codec().encode(newer, "/tests", topic=TICKETS).value[1:5], "big")]

    with pytest.raises(HTTPError) as stopped:
        follow(newer, start=1)
    stopped.value.close()

    assert db.execute("SELECT next_offset FROM place").fetchall() == [(1,)]


def test_a_hole_in_the_log_stops_it(follow: Follow) -> None:
    follow(registered(NUMBER))

    with pytest.raises(SystemExit, match="offset 1 is missing, the log goes on with 2"):
        follow(taken(2, NUMBER), start=2)


def test_a_version_given_twice_stops_it(follow: Follow) -> None:
    follow(registered(NUMBER), taken(2, NUMBER))

    with pytest.raises(SystemExit, match=f"version 2 of {NUMBER} was given twice"):
        follow(closed(2, NUMBER), start=2)

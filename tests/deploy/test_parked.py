"""`hotline parked` and `hotline redrive`: what waits is listed, and whoever owns its partition tries it again when asked."""

import json
from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
from psycopg import Connection

from deploy.commands import redrive
from deploy.hotline import exit_code
from events.envelope import TICKETS
from projectors import database as doors
from projectors import parked
from projectors.parked import ParkedRecord
from projectors.ticket_status import TICKET_STATUS
from tests.consumers.test_parking import POISONED, Following, StatusWithAFault
from tests.made import MORNING
from tests.waiting import until

pytestmark = pytest.mark.parts
CONTROL_CHARACTER = "\x1b"


@pytest.fixture
def db(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection[Any]]:
    """The database that commands find, with the tables that all share."""
    monkeypatch.setenv("HOTLINE_DATABASE_URL", database)
    with doors.connect(database, "test") as connection:
        doors.prepare(connection, (TICKET_STATUS,))
        yield connection


def _waits(key: str, offset: int, reason: str = "Poison") -> ParkedRecord:
    return ParkedRecord("ticket_status_v1", TICKETS, 0, offset, key.encode(), MORNING, False, b"sealed", reason, MORNING)


def test_nothing_parked_is_said_and_is_no_finding(db: Connection[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["parked"]) == 0
    assert exit_code(["parked", "--json"]) == 0
    assert exit_code(["redrive", POISONED]) == 0

    assert capsys.readouterr().out == f"nothing is parked\nnothing is parked under {POISONED}\n"


def test_what_waits_is_listed_by_key_with_the_reason_of_the_first(db: Connection[Any], capsys: pytest.CaptureFixture[str]) -> None:
    parked.add(db, [_waits(POISONED, 4), _waits(POISONED, 9, "behind"), _waits("a\x1b[2Jkey", 5)])

    assert (exit_code(["parked", "--json"]), exit_code(["parked"])) == (1, 1)

    first, second, *lines = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {
        "consumer": "ticket_status_v1",
        "topic": TICKETS,
        "partition": 0,
        "key": POISONED,
        "first_offset": 4,
        "reason": "Poison",
        "parked_at": "2025-03-14T06:26:53.120000Z",
        "records": 2,
    }
    assert json.loads(second)["records"] == 1
    assert CONTROL_CHARACTER not in "".join(lines)


def test_a_dry_run_asks_nobody(db: Connection[Any], capsys: pytest.CaptureFixture[str]) -> None:
    parked.add(db, [_waits(POISONED, 4)])

    assert exit_code(["redrive", POISONED, "--dry-run", "--json"]) == 1

    assert json.loads(capsys.readouterr().out)["result"] == "not tried"
    assert parked.list_requests(db, ["ticket_status_v1"], 10) == []


def test_nobody_there_to_try_is_exit_code_3(
    db: Connection[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(redrive, "LONGEST_WAIT_S", 0.3)
    parked.add(db, [_waits(POISONED, 4)])

    assert exit_code(["redrive", POISONED]) == 3

    assert "nobody has tried" in capsys.readouterr().out


def test_the_owner_of_the_partition_tries_and_says_how_it_went(
    db: Connection[Any], database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = StatusWithAFault()
    following = Following(database, model)
    following.give_poison()
    stop = Flag()

    def own() -> None:
        while not stop.is_set():
            following.follower._redrive()
            stop.wait(0.05)

    owner = Thread(target=own)
    owner.start()
    try:
        failed = exit_code(["redrive", POISONED])
        model.fails_on = None
        done = exit_code(["redrive", POISONED])
    finally:
        stop.set()
        owner.join(10)
        following.db.close()

    assert (failed, done) == (1, 0)
    assert until(lambda: parked.list_keys(db) == [])
    assert "->  Poison" in capsys.readouterr().out
    assert db.execute("SELECT FROM redrive_request").fetchall() == []

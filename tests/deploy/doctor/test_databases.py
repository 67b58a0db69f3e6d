"""Each hazard of the databases and of our own tables, injected on a real Postgres: it is named, with its remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Any

import psycopg
import pytest

from deploy.doctor import context, postgres, tables
from deploy.doctor.context import Context
from deploy.doctor.examination import examine
from deploy.doctor.finding import HARD, WARNING, Finding
from events.envelope import FACTS
from events.settings import Settings
from projectors import database
from tests.deploy.doctor.harm import looked
from tests.waiting import until

pytestmark = pytest.mark.parts

Db = psycopg.Connection[Any]


@contextmanager
def server_with(settings: Settings, db: Db, setting: str) -> Iterator[None]:
    """Turn a setting of the server off inside the block."""

    def shown() -> str:
        with psycopg.connect(settings.vault) as other:
            row = other.execute("SELECT current_setting(%s)", [setting]).fetchone()
        return "" if row is None else str(row[0])

    try:
        db.execute(f"ALTER SYSTEM SET {setting} = off")
        db.execute("SELECT pg_reload_conf()")
        until(lambda: shown() == "off")
        yield
    finally:
        db.execute(f"ALTER SYSTEM RESET {setting}")
        db.execute("SELECT pg_reload_conf()")
        until(lambda: shown() == "on")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_server_that_forgets_what_it_committed_is_named(own: Settings, db: Db, setting: str) -> None:
    with server_with(own, db, setting):
        found = looked(postgres.durability, own)

    assert [(finding.code, finding.severity) for finding in found] == [("not-durable", HARD)] * 2
    assert found[0].what.startswith(f"the database has {setting} off")
    assert found[1].what.startswith(f"the vault's database has {setting} off")
    assert f"set {setting}=on" in found[0].remedy


def test_database_that_only_reads_is_named(own: Settings, db: Db) -> None:
    db.execute("ALTER DATABASE vault SET default_transaction_read_only = on")
    try:
        (finding,) = looked(postgres.durability, own)
    finally:
        db.execute("ALTER DATABASE vault RESET default_transaction_read_only")

    assert (finding.code, finding.severity) == ("database-read-only", HARD)
    assert "the vault's database" in finding.what
    assert "primary" in finding.remedy


def test_sessions_whose_time_outs_got_lost_on_the_way_are_named(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(postgres.sessions, own) == []
    monkeypatch.setattr(database, "_SESSION_SETTINGS", {})

    found = looked(postgres.sessions, own)

    assert {finding.code for finding in found} == {"session-without-bound"}
    assert [finding.what.split()[6].rstrip(",") for finding in found] == list(postgres.SESSION)
    assert "pooler" in found[0].remedy


def test_question_that_takes_too_long_is_given_up_and_said(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "STATEMENT_LIMIT_S", 1)

    def slow(looking: Context) -> Iterator[Finding]:
        looking.database.execute("SELECT pg_sleep(20)")
        yield from ()

    result = examine(Context(own), [slow])

    assert list(result.unreachable) == ["test_databases.slow: the database refuses (QueryCanceled 57014)"]


def test_parked_tickets_are_counted(own: Settings, db: Db) -> None:
    rows = [("ticket_status_v1", n, key) for n, key in enumerate((b"RU-1", b"RU-1", b"RU-2"))]
    for consumer, offset, key in rows:
        db.execute("INSERT INTO parked VALUES (%s, 'hotline.tickets', 0, %s, %s, 0, false, '', 'broken', 0)", [consumer, offset, key])
    try:
        (finding,) = looked(tables.parked, own)
    finally:
        db.execute("TRUNCATE parked")

    assert (finding.code, finding.severity) == ("parked", WARNING)
    assert finding.what == "ticket_status_v1 has parked 2 keys with 3 records"
    assert "hotline redrive" in finding.remedy


def test_key_with_records_on_several_partitions_is_named(own: Settings, db: Db) -> None:
    insert = "INSERT INTO audit_log_v1 (topic, partition, \"offset\", subject, appended_at, void, body) VALUES (%s, %s, 0, %s, 0, 'f', '')"
    for partition, subject in enumerate(("stray", "stray", "era", "era", "at home")):
        db.execute(insert, [FACTS, partition, subject])
    try:
        (finding,) = looked(tables.parted_keys, own)
    finally:
        db.execute("TRUNCATE audit_log_v1")

    assert (finding.code, finding.severity) == ("strays", HARD)
    assert finding.what == f"1 keys of {FACTS} have records on several partitions"
    assert "murmur2_random" in finding.remedy


def test_outbox_that_stands_still_is_named_and_one_that_drains_is_not(own: Settings, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "OUTBOX_LIMIT_S", 1.0)
    insert = "INSERT INTO outbox (cause_partition, records, outcome) VALUES (0, '{}', ''), (0, '{}', '')"
    db.execute(insert)
    (finding,) = looked(tables.outbox, own)
    looked_at = Flag()

    def drain() -> None:
        while not looked_at.wait(0.05):
            db.execute(f"DELETE FROM outbox WHERE seq = (SELECT min(seq) FROM outbox); {insert}")

    relay = Thread(target=drain)
    relay.start()
    try:
        draining = looked(tables.outbox, own)
    finally:
        looked_at.set()
        relay.join()
        db.execute("TRUNCATE outbox")

    assert draining == []
    assert (finding.code, finding.severity) == ("outbox-stands", HARD)
    assert "2 settled causes wait" in finding.what
    assert "relay" in finding.remedy


def test_cause_that_stands_on_the_log_without_an_outcome_is_named(own: Settings, db: Db) -> None:
    insert = "INSERT INTO audit_log_v1 (topic, partition, \"offset\", subject, appended_at, void, body) VALUES (%s, 3, %s, 'c', 0, 'f', '')"
    db.execute("INSERT INTO position VALUES ('audit_log_v1', %s, 3, 'x', 1, 2, 1)", [FACTS])
    for offset in (0, 1):
        db.execute(insert, [FACTS, offset])
    try:
        (finding,) = looked(tables.causes, own)
    finally:
        db.execute("TRUNCATE audit_log_v1, position")

    assert (finding.code, finding.severity) == ("causes-unsettled", HARD)
    assert finding.what == f"2 causes have had no outcome for 60 s, the oldest at {FACTS}/3/0"
    assert "desk" in finding.remedy

"""The check after the demo finds what is missing. The tables are the read models' own; the rows are a test's."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from deploy.simulator.arrival import Finding, check, counted
from deploy.simulator.day import AN_ORDINARY_FRIDAY
from deploy.simulator.ledger import Accepted, Answered, Ledger
from deploy.simulator.script import Day, Message, Order, Planned
from projectors.registry import PROJECTIONS

CONTACT, EVENT, NUMBER = b"c" * 16, b"e" * 16, "RU-2025-000001"
MESSAGE = Message(0.0, "phone-1", "phone", "CallStarted", "adapter", b"{}")
ORDER = Order(1.0, "phone-1", 1, "op-01", "take", "k")
ROWS = {
    "audit_log": """INSERT INTO audit_log_v1 (topic, partition, "offset", event_id, subject, version, appended_at, void, body) VALUES
        ('hotline.contacts', 0, 0, %(event)s, %(contact)s, NULL, 1, false, ''),
        ('hotline.tickets', 1, 0, 'd1', %(number)s, 1, 1, false, ''),
        ('hotline.tickets', 1, 1, 'd2', %(number)s, 2, 1, false, '')""",
    "contact_fact": """INSERT INTO contact_fact_v1 VALUES (%(event)s, %(id)s, 't', 'phone', 'citizen', 1, 0, 1, '', '{}', 0, 0)""",
    "contact_ticket": "INSERT INTO contact_ticket_v1 VALUES ('d1', %(id)s, %(number)s, 1, 1)",
    "outcome": """INSERT INTO outcome_v1 VALUES ('hotline.contacts', 0, 0, %(event)s, %(contact)s, 1, 'decided', '', '', NULL, NULL, NULL,
        ARRAY[%(number)s], '{1}', '{1}', '{0}', 1)""",
    "ticket_status": """INSERT INTO ticket_status_v1 (number, version, last_event_id, status, channel, kind, topic, language, opened_at,
        opened_offset_min, changed_at, contact_id, ordinal, cycle, next_step, has_name, has_phone, has_text)
        VALUES (%(number)s, 2, 'd2', 'in_processing', 'phone', 'request', '', '', 1, 0, 1, %(id)s, 1, 1, '', false, false, false)""",
    "ticket_versions": """INSERT INTO ticket_version_v1 (number, version, last_event_id, status, channel, kind, topic, language,
        opened_at, opened_offset_min, changed_at, contact_id, ordinal, cycle, next_step, has_name, has_phone, has_text, recorded_at,
        partition, "offset")
        VALUES (%(number)s, 1, 'd1', 'registered', 'phone', 'request', '', '', 1, 0, 1, %(id)s, 1, 1, '', false, false, false, 1, 1, 0)""",
    "retention_contact": "INSERT INTO retention_contact_v1 VALUES (%(event)s, %(id)s, 'contact', 1, 2)",
    "retention_ticket": "INSERT INTO retention_ticket_v1 VALUES (%(number)s, 2, 'd2', 'ticket', NULL, NULL)",
}


@pytest.fixture
def db(database: str) -> Iterator[psycopg.Connection[Any]]:
    """The read models as they are when one call became a ticket that was taken."""
    with psycopg.connect(database) as connection:
        for model in PROJECTIONS:
            connection.execute(model.ddl)
            connection.execute(model.views)
        for statement in ROWS.values():
            connection.execute(statement, {"event": EVENT, "id": CONTACT, "contact": CONTACT.hex(), "number": NUMBER})
        connection.commit()
        yield connection


def told(tickets: int = 1, version: int = 2) -> Ledger:
    """What the intake said: the call was accepted, the command decided."""
    planned = Planned("phone-1", "phone", "ru", "passport", tickets)
    ledger = Ledger(Day(1, AN_ORDINARY_FRIDAY, {"phone-1": planned}, (MESSAGE, ORDER)))
    ledger.note_accepted([Accepted(MESSAGE, EVENT, "hotline.calls.CallStarted", CONTACT)], "h1.a", 1)
    ledger.note_answer(Answered(ORDER, NUMBER, 200, "", ((NUMBER, version, 1, version - 1),)), "h1.b", 1)
    return ledger


def found(db: psycopg.Connection[Any], ledger: Ledger | None = None) -> list[Finding]:
    return check(db, ledger or told(), limit_s=0.0)


@pytest.mark.parts
def test_when_everything_arrived_nothing_is_found(db: psycopg.Connection[Any]) -> None:
    assert found(db) == []
    assert counted(db)["tickets by status"] == [("in_processing", 1)]
    assert counted(db)["long story"] == [(NUMBER,)]


@pytest.mark.parts
@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        ("DELETE FROM audit_log_v1 WHERE topic = 'hotline.contacts'", "every accepted event is in the audit log"),
        ("DELETE FROM contact_fact_v1", "every accepted fact is in contacts"),
        ("DELETE FROM outcome_v1", "every record of a fact or a command has its outcome"),
        ("DELETE FROM audit_log_v1 WHERE version = 1", "every decision that an outcome names is on hotline.tickets"),
        ("DELETE FROM ticket_status_v1", "every ticket that an outcome names is in ticket status, at that version or a later one"),
        ("DELETE FROM ticket_version_v1", "every decision that an outcome names is in ticket versions"),
        ("DELETE FROM retention_ticket_v1", "every ticket that an outcome names is in retention, at that version or a later one"),
        ("DELETE FROM retention_contact_v1", "every accepted fact is in retention"),
        ("DELETE FROM contact_ticket_v1", "every contact has as many tickets as it should"),
        ("DELETE FROM audit_log_v1 WHERE version = 2", "every decision an operator heard of is in the audit log"),
        ("DELETE FROM audit_log_v1 WHERE version = 1", "versions have no holes"),
        ("UPDATE ticket_status_v1 SET version = 1", "ticket status stands at each ticket's last version"),
        ("UPDATE audit_log_v1 SET version = 1 WHERE version = 2", "no number was allotted twice and no version has two decisions"),
        ("INSERT INTO contact_ticket_v1 VALUES ('d3', 'another', 'RU-2025-000001', 1, 1)", "no number belongs to two contacts"),
    ],
)
def test_what_is_missing_is_found_and_named(db: psycopg.Connection[Any], loss: str, sentence: str) -> None:
    db.execute(loss)
    db.commit()

    assert sentence in [finding.holds for finding in found(db)]


@pytest.mark.parts
def test_a_contact_with_another_number_of_tickets_than_the_script_says_is_named(db: psycopg.Connection[Any]) -> None:
    (finding,) = found(db, told(tickets=2))

    assert str(finding) == ("not so: every contact has as many tickets as it should: 1 times, for example phone-1: 1 instead of 2")


@pytest.mark.parts
def test_the_check_waits_for_what_is_late(db: psycopg.Connection[Any]) -> None:
    db.execute("DELETE FROM retention_contact_v1")
    db.commit()
    waits: list[float] = []

    def arrives(wait_s: float) -> None:
        waits.append(wait_s)
        db.execute(ROWS["retention_contact"], {"event": EVENT, "id": CONTACT})
        db.commit()

    assert check(db, told(), limit_s=20.0, wait=arrives) == []
    assert len(waits) == 1

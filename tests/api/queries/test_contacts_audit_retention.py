"""One contact, the audit log and retention over HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from events.calls import CallStarted, RecordingStored
from events.envelope import COMMANDS, FACTS, OUTCOMES, TICKETS
from events.outcomes import DecisionPlace
from events.places import Place
from projectors.tokens import Token
from tests.made import CONTACT, NUMBER, closed, made, registered, settled, taken

Ask = Callable[..., Any]
Follow = Callable[..., None]
LONG_AGO = int(datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Moscow")).timestamp()) * 1_000_000


def test_contact_shows_its_facts_and_tickets_with_their_status(follow: Follow, ask: Ask) -> None:
    follow(made(CallStarted, has_phone=True, phone=b"sealed"), registered(), taken(2))

    told = ask(f"/v1/contacts/{CONTACT.hex()}").json()

    assert (told["contact_id"], told["channel"]) == (CONTACT.hex(), "phone")
    assert [(f["type"], f["people"]["phone"], f["people"]["name"]) for f in told["facts"]] == [("CallStarted", "•••", None)]
    assert [(t["number"], t["ordinal"], t["status"]) for t in told["tickets"]] == [(NUMBER, 1, "in_processing")]


def test_unknown_contact_is_404(follow: Follow, ask: Ask) -> None:
    follow(registered())

    for contact in ("ab" * 16, "ab", "zz" * 16, "ab " * 11):
        assert ask(f"/v1/contacts/{contact}").json()["type"] == "unknown-contact"


def test_token_of_a_contact_waits_for_the_ticket_it_led_to(follow: Follow, ask: Ask) -> None:
    decision = DecisionPlace(number=NUMBER, version=1, partition=0, offset=0)
    follow(made(CallStarted), registered(), settled(Place(FACTS, 0, 0), decision))
    included, later = (Token.of([Place(FACTS, 0, offset)]).encode() for offset in (0, 1))

    for address, role in ((f"/v1/tickets/{NUMBER}", "operator"), (f"/v1/contacts/{CONTACT.hex()}", "operator"), ("/v1/audit", "auditor")):
        assert ask(address, role, at_least=included, wait_ms=0).status_code == 200
        assert ask(address, role, at_least=later, wait_ms=20).json()["type"] == "not-reached"


def test_an_answer_that_joins_models_promises_only_what_all_of_them_include(follow: Follow, ask: Ask, database: str) -> None:
    joined = {
        f"/v1/contacts/{CONTACT.hex()}": ("operator", "ticket_status"),
        f"/v1/audit?ticket={NUMBER}": ("auditor", "contacts"),
        f"/v1/retention?ticket={NUMBER}": ("auditor", "contacts"),
        "/v1/retention": ("auditor", "contacts"),
    }
    follow(made(CallStarted), registered(), taken(2))

    for address, (role, behind) in joined.items():
        for next_offset, included in ((1, 0), (0, None), (4, 3)):
            _move(database, f"{behind}_v1", next_offset)
            token = Token.parse(ask(address, role).json()["position"])
            assert (token.get((TICKETS, 0)), token[FACTS, 0]) == (included, 1)


def test_an_answer_that_joins_models_waits_for_all_of_them(follow: Follow, ask: Ask, database: str) -> None:
    follow(made(CallStarted), registered(), taken(2))
    _move(database, "ticket_status_v1", 1)
    second = Token.of([Place(TICKETS, 0, 1)]).encode()

    late = ask(f"/v1/contacts/{CONTACT.hex()}", at_least=second, wait_ms=20)
    _move(database, "contacts_v1", 1)
    also_late = [ask(a, "auditor", ticket=NUMBER, at_least=second, wait_ms=20) for a in ("/v1/audit", "/v1/retention")]

    assert [answer.json()["type"] for answer in (late, *also_late)] == ["not-reached"] * 3
    assert ask("/v1/audit", "auditor", at_least=second, wait_ms=20).status_code == 200, "it reads one model"


def _move(database: str, consumer: str, next_offset: int) -> None:
    """Say that a read model has come to an offset of the tickets, as if it had been slow."""
    with psycopg.connect(database) as db:
        db.execute("UPDATE position SET next_offset = %s WHERE consumer = %s AND topic = %s", [next_offset, consumer, TICKETS])


def test_audit_by_ticket_shows_its_own_records_and_those_of_its_contacts(follow: Follow, ask: Ask) -> None:
    follow(made(CallStarted), made(CallStarted, contact_id=b"z" * 16), registered(), registered("RU-2025-000002", contact_id=b"z" * 16))

    rows = ask("/v1/audit", "auditor", ticket=NUMBER).json()["rows"]

    assert [(r["topic"], r["subject"]) for r in rows] == [(FACTS, CONTACT.hex()), (TICKETS, NUMBER)]


def test_audit_filters_and_pages(follow: Follow, ask: Ask) -> None:
    follow(made(CallStarted), registered(), taken(2), settled(Place(COMMANDS, 0, 0)))

    def types(**params: Any) -> list[str]:
        return [r["type"].split(".")[-1] for r in ask("/v1/audit", "auditor", **params).json()["rows"]]

    assert types(actor="operator:17") == ["TicketTaken"]
    assert types(type="hotline.outcomes.CauseSettled") == types(topic=OUTCOMES) == ["CauseSettled"]
    assert types(contact=CONTACT.hex()) == types(subject=CONTACT.hex()) == ["CallStarted"]
    first = ask("/v1/audit", "auditor", limit=3).json()
    assert [r["type"].split(".")[-1] for r in first["rows"]] == ["CallStarted", "TicketRegistered", "TicketTaken"]
    assert types(limit=3, cursor=first["next"]) == ["CauseSettled"]
    after_all = {"from": "2026-01-01T00:00:00Z"}
    assert types(**after_all) == []


def test_retention_of_a_ticket_names_all_that_belongs_to_it_and_the_latest_date(follow: Follow, ask: Ask) -> None:
    recording = made(RecordingStored, received_at=LONG_AGO, digest=b"R" * 32)
    follow(recording, registered(), closed(2, recorded_at=LONG_AGO + 86_400_000_000))

    for params in ({"ticket": NUMBER}, {"contact": CONTACT.hex()}):
        told = ask("/v1/retention", "auditor", **params).json()
        assert [row["kind"] for row in told["rows"]] == ["contact", "file", "ticket"]
        assert told["keep_until"] == "2023-01-01T21:00:00.000000Z"


def test_retention_of_an_open_ticket_has_no_date(follow: Follow, ask: Ask) -> None:
    follow(registered())

    assert ask("/v1/retention", "auditor", ticket=NUMBER).json()["keep_until"] is None
    assert ask("/v1/retention", "auditor", ticket="RU-2025-999999").json()["type"] == "unknown-ticket"


def test_past_its_floor_is_what_nothing_holds_when_the_day_begins(follow: Follow, ask: Ask) -> None:
    recording = made(RecordingStored, received_at=LONG_AGO, digest=b"R" * 32)
    follow(recording, registered(), closed(2, recorded_at=LONG_AGO + 1), partitions=2)

    def kinds(**params: Any) -> list[str]:
        return [row["kind"] for row in ask("/v1/retention", "auditor", **params).json()["rows"]]

    assert kinds(past_floor_on="2023-01-01") == []
    assert kinds(past_floor_on="2023-01-02") == kinds() == ["contact", "file", "ticket"]
    first = ask("/v1/retention", "auditor", past_floor_on="2023-01-02", limit=2).json()
    assert kinds(past_floor_on="2023-01-02", limit=2, cursor=first["next"]) == ["ticket"]
    assert ask("/v1/retention", "auditor", past_floor_on="tomorrow").status_code == 422

"""One contact: its facts and its tickets."""

import pytest

from events.calls import CallAnswered, CallStarted
from events.chats import ChatMessagePosted
from events.complaints import ComplaintFiled
from events.envelope import Event
from events.notes import ContactNoted
from events.tickets import ClarificationReceived
from projectors.contacts import CONTACTS, find_channel, list_contacts_of, list_facts, list_tickets_of
from tests.given import given
from tests.made import CONTACT, NUMBER, made, registered
from tests.projectors.test_audit_log import asked


def test_contact_shows_each_fact_once_in_its_order(database: str) -> None:
    facts = (made(CallStarted, has_phone=True, phone=b"sealed"), made(CallAnswered, actor="operator:17"), made(ContactNoted, has_name=True))

    given(*facts).deliver(database, [CONTACTS], batch=2)

    found = asked(database, lambda db: list_facts(db, CONTACT))
    assert [(row.type, row.given) for row in found] == [("CallStarted", ["phone"]), ("CallAnswered", []), ("ContactNoted", ["name"])]
    assert [row.offset for row in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("facts", "channel"),
    [
        ([made(CallStarted), made(ChatMessagePosted, channel="chat")], "phone"),
        ([made(CallStarted), made(ComplaintFiled, channel="complaint", filed_by="phone")], "phone"),
        ([made(ComplaintFiled, channel="complaint", filed_by="phone"), made(CallStarted)], "phone"),
        ([made(ComplaintFiled, channel="complaint", filed_by="form")], "complaint"),
        ([], None),
    ],
)
def test_a_contact_has_the_channel_of_its_first_fact_and_a_complaint_by_phone_is_a_call_s(
    database: str, facts: list[Event], channel: str | None
) -> None:
    given(*facts).deliver(database, [CONTACTS])
    if not facts:
        given(registered()).deliver(database, [CONTACTS])

    assert asked(database, lambda db: find_channel(db, CONTACT)) == channel


def test_contact_names_the_tickets_it_opened_and_answered(database: str) -> None:
    answer = made(ClarificationReceived, version=2, contact_id=b"d" * 16)

    given(registered(), answer).deliver(database, [CONTACTS])

    assert [(t.number, t.ordinal) for t in asked(database, lambda db: list_tickets_of(db, CONTACT))] == [(NUMBER, 1)]
    assert [(t.number, t.ordinal) for t in asked(database, lambda db: list_tickets_of(db, b"d" * 16))] == [(NUMBER, 0)]
    assert asked(database, lambda db: list_contacts_of(db, NUMBER)) == [CONTACT, b"d" * 16]

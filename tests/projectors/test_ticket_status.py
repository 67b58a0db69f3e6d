"""Where tickets stand."""

from typing import Any

import pytest

from events import tickets
from events.envelope import Decision
from projectors.model import Fork, VersionHole
from projectors.ticket_status import TICKET_STATUS
from tests.given import given, rows_of
from tests.made import MORNING, NUMBER, closed, made, registered, taken


def asked(version: int, **said: Any) -> tickets.ClarificationAsked:
    return made(tickets.ClarificationAsked, version=version, **said)


def row_after(dsn: str, *decisions: Decision) -> dict[str, Any]:
    given(*decisions).deliver(dsn, [TICKET_STATUS], batch=2)
    (row,) = rows_of(dsn, "ticket_status", "number")
    return row


def test_registered_ticket_waits_for_a_specialist(database: str) -> None:
    event = registered(has_name=True)

    row = row_after(database, event)

    assert (row["status"], row["next_step"], row["version"], row["last_event_id"]) == ("registered", "specialist_takes", 1, event.event_id)
    assert (row["number"], row["language"], row["has_name"], row["has_phone"]) == (NUMBER, "tt", True, False)


def test_taken_ticket_names_its_queue(database: str) -> None:
    row = row_after(database, registered(), taken(2, recorded_at=MORNING + 77))

    assert (row["status"], row["queue"], row["version"], row["changed_at"]) == ("in_processing", "accounts", 2, MORNING + 77)


def test_answered_clarification_goes_on_where_the_ticket_stood(database: str) -> None:
    received = made(tickets.ClarificationReceived, version=4, text=b"sealed")

    row = row_after(database, registered(), taken(2), asked(3), received)

    assert (row["status"], row["status_before"], row["has_text"]) == ("in_processing", None, True)


def test_letter_without_a_name_awaits_clarification_from_the_start(database: str) -> None:
    row = row_after(database, registered(channel="email"), asked(2, question_code="name"))

    assert (row["status"], row["status_before"], row["next_step"]) == ("awaiting_clarification", "registered", "citizen_answers")


def test_later_note_completes_and_its_empty_fields_change_nothing(database: str) -> None:
    note = made(tickets.TicketDetailsAdded, version=2, topic="passport.lost", has_phone=True)

    row = row_after(database, registered(has_name=True), note)

    assert (row["topic"], row["kind"], row["language"]) == ("passport.lost", "request", "tt")
    assert (row["has_name"], row["has_phone"]) == (True, True)


def test_refused_ticket_keeps_its_reason_and_can_be_appealed(database: str) -> None:
    refused = made(tickets.TicketRefused, version=2, reason_code="documents.incomplete", appeal_route="court")

    row = row_after(database, registered(), refused)

    assert (row["status"], row["refusal_reason"], row["appeal_route"]) == ("refused", "documents.incomplete", "court")
    assert row["next_step"] == "citizen_may_appeal"


def test_approved_then_closed_ticket_is_closed(database: str) -> None:
    row = row_after(database, registered(), taken(2), made(tickets.TicketApproved, version=3), closed(4))

    assert (row["status"], row["resolution_code"], row["next_step"]) == ("closed", "answered", "nothing")


def test_merged_ticket_names_the_one_that_goes_on(database: str) -> None:
    row = row_after(database, registered(), closed(2, resolution_code="merged", merged_into="RU-2025-000007"))

    assert row["merged_into"] == "RU-2025-000007"


def test_reopened_ticket_begins_a_cycle_and_forgets_how_it_ended(database: str) -> None:
    refused = made(tickets.TicketRefused, version=2, reason_code="r", appeal_route="court")

    row = row_after(database, registered(), refused, closed(3), made(tickets.TicketReopened, version=4, cycle=2))

    assert (row["status"], row["cycle"], row["version"]) == ("in_processing", 2, 4)
    assert (row["refusal_reason"], row["appeal_route"], row["resolution_code"], row["merged_into"]) == (None, None, None, None)


def test_two_different_decisions_with_one_version_are_a_fork(database: str) -> None:
    with pytest.raises(Fork):
        row_after(database, registered(), taken(2), taken(2))


def test_missing_version_is_a_hole(database: str) -> None:
    with pytest.raises(VersionHole):
        row_after(database, registered(), taken(3))

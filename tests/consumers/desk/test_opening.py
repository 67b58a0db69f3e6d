"""What opens a ticket (G37, R43, R315, R334)."""

import itertools
from typing import Any

import pytest

from events.envelope import Fact
from events.tickets import Status, TicketDetailsAdded, TicketRegistered
from tests.consumers.desk.given import given
from tests.consumers.facts import (
    CALL_AT,
    call_answered,
    call_ended,
    call_started,
    chat_closed,
    chat_message,
    command,
    complaint,
    letter,
    noted,
    request,
)


def _registered(story_facts: tuple[Fact, ...]) -> TicketRegistered:
    decision = given(*story_facts).decisions[0]
    assert isinstance(decision, TicketRegistered)
    return decision


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_answered_call_opens_one_ticket_whatever_order_its_facts_come_in(order: tuple[int, ...]) -> None:
    facts = (call_started(), call_answered(), call_ended(connected_at=CALL_AT))

    story = given(*(facts[i] for i in order))

    assert len(story.tickets) == 1
    assert isinstance(story.decisions[0], TicketRegistered)


def test_the_time_of_a_call_s_ticket_is_that_of_the_connection() -> None:
    registered = _registered((call_started(occurred_at=CALL_AT), call_answered(), call_ended()))

    assert (registered.opened_at, registered.opened_offset_min, registered.phone) == (CALL_AT, 180, b"P")


def test_an_abandoned_call_opens_nothing_and_says_why() -> None:
    verdict = given(call_started()).when(call_ended(ending="abandoned"))

    assert (verdict.result, verdict.rule, verdict.changes) == ("no_ticket", "abandoned", ())


def test_an_operator_s_note_registers_a_call_before_it_ends_and_the_end_opens_no_second_one() -> None:
    story = given(
        call_started(), call_answered(), noted(disposition="registered", kind="request", topic="passport.term", text=b"T"), call_ended()
    )

    assert len(story.tickets) == 1
    assert (story.decisions[0].kind, story.decisions[0].text) == ("request", b"T")  # type: ignore[attr-defined]


def test_a_later_note_completes_the_ticket() -> None:
    story = given(call_started(), call_answered(), call_ended(), noted(topic="passport.term"))

    assert isinstance(story.decisions[-1], TicketDetailsAdded)
    assert story.ticket().version == 2


def test_a_later_note_that_it_belongs_to_another_ticket_closes_it_as_merged() -> None:
    story = given(request(), call_started(), call_answered(), call_ended(), noted(disposition="belongs_to", belongs_to="N-1"))

    assert story.status(2) is Status.CLOSED
    assert (story.decisions[-1].resolution_code, story.decisions[-1].merged_into) == ("merged", "N-1")  # type: ignore[attr-defined]


def test_a_call_that_belongs_to_a_known_ticket_opens_none_of_its_own() -> None:
    verdict = given(request(), call_started(), call_answered(), noted(disposition="belongs_to", belongs_to="N-1")).when(call_ended())

    assert (verdict.result, verdict.rule) == ("no_ticket", "belongs_to")


def test_a_note_about_a_ticket_nobody_knows_is_refused() -> None:
    verdict = given(call_started()).when(noted(disposition="belongs_to", belongs_to="RU-2025-999999"))

    assert (verdict.result, verdict.rule) == ("refused", "unknown_ticket")


def test_a_call_on_two_legs_is_over_when_both_have_ended_and_its_time_is_that_of_the_first() -> None:
    story = given(call_started(occurred_at=CALL_AT), call_answered(), call_started(leg=2, occurred_at=CALL_AT + 600_000_000), call_ended())

    assert not story.tickets
    registered = story.when(call_ended(leg=2)).changes[0]
    assert registered.body["opened_at"] == CALL_AT


def test_a_call_from_the_zero_meridian_keeps_its_offset() -> None:
    registered = _registered((call_started(occurred_offset_min=0), call_answered(), call_ended()))

    assert registered.opened_offset_min == 0


def test_a_failed_end_after_a_note_does_not_deny_the_ticket() -> None:
    verdict = given(call_started(), noted(disposition="registered")).when(call_ended(ending="failed"))

    assert (verdict.result, verdict.rule) == ("no_change", "")


def test_no_ticket_is_merged_into_a_closed_one() -> None:
    story = given(request(), command("take", "N-1"), command("close", "N-1"), call_started(), call_answered(), call_ended())

    assert story.when(noted(disposition="belongs_to", belongs_to="N-1")).rule == "merged_into_a_closed_ticket"
    assert story.when(noted(ordinal=-3)).rule == "ordinal_out_of_order"


def test_a_nuisance_call_opens_nothing() -> None:
    verdict = given(call_started(), call_answered(), noted(disposition="nuisance")).when(call_ended())

    assert (verdict.result, verdict.rule) == ("no_ticket", "nuisance")


def test_the_first_message_of_a_citizen_opens_a_chat_s_ticket_and_the_next_ordinal_another() -> None:
    story = given(chat_message(), chat_message(), chat_message(ordinal=2), chat_message())

    assert list(story.tickets) == ["N-1", "N-2"]
    assert story.when(chat_message(ordinal=9)).rule == "ordinal_out_of_order"


def test_an_operator_s_message_opens_nothing_and_a_chat_without_a_message_has_no_ticket() -> None:
    story = given(chat_message(actor="operator:17"))

    assert not story.tickets
    assert story.when(chat_closed()).rule == "no_message"


def test_a_message_never_makes_an_operator_s_command_stale() -> None:
    story = given(chat_message(), chat_message(), chat_message())

    assert story.ticket().version == 1


@pytest.mark.parametrize(
    ("said", "rule"), [({"auto_submitted": True}, "auto_submitted"), ({"has_sender": False, "sender": None}, "no_sender")]
)
def test_a_machine_s_letter_and_one_from_nobody_open_nothing(said: dict[str, Any], rule: str) -> None:
    verdict = given().when(letter(**said))

    assert (verdict.result, verdict.rule) == ("no_ticket", rule)


def test_a_complaint_on_paper_opens_a_ticket_and_one_by_phone_says_what_the_call_is_about() -> None:
    paper = _registered((complaint(),))
    phone = _registered(
        (complaint("call-1", "phone", channel="complaint", filed_by="phone"), call_started(), call_answered(), call_ended())
    )

    assert (paper.kind, paper.channel) == ("complaint", "complaint")
    assert (phone.kind, phone.channel) == ("complaint", "phone")


def test_the_same_form_with_another_content_opens_no_second_ticket() -> None:
    story = given(request())

    assert story.when(request()).rule == "already_registered"
    assert len(story.tickets) == 1


def test_a_ticket_that_was_closed_cannot_be_merged_any_more() -> None:
    story = given(request(), chat_message(), command("take", "N-2"), command("close", "N-2"))

    assert story.when(noted("chat-1", "chat", disposition="belongs_to", belongs_to="N-1")).rule == "not_in_this_status"

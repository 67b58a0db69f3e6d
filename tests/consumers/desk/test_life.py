"""The life of a ticket (R122-R128, G9-G11)."""

import pytest

from consumers.desk.life import STEPS, Change, Refusal
from events.tickets import Status, TicketApproved, TicketRefused
from tests.consumers.desk.given import given
from tests.consumers.facts import chat_message, command, letter, request

N = "N-1"


def _rule(answer: Change | Refusal) -> str:
    assert isinstance(answer, Refusal)
    return answer.rule


def test_refusal_without_a_way_to_appeal_is_not_allowed() -> None:
    answer = given(request()).asked(command("refuse", N, appeal_route=""))

    assert answer == Refusal("field_missing", "appeal_route")


def test_refusal_with_reason_and_way_to_appeal_is_allowed_while_the_citizen_owes_an_answer() -> None:
    answer = given(request(), command("ask_clarification", N)).asked(command("refuse", N))

    assert isinstance(answer, Change)
    assert answer.decision is TicketRefused


def test_approval_must_say_what_the_citizen_does_next() -> None:
    story = given(request(), command("take", N))

    assert _rule(story.asked(command("approve", N, next_steps=None))) == "field_missing"
    answer = story.asked(command("approve", N))
    assert isinstance(answer, Change)
    assert answer.decision is TicketApproved


def test_of_two_operators_at_once_the_second_hears_that_the_ticket_has_moved_on() -> None:
    answer = given(request(), command("take", N, expected_version=1)).asked(command("ask_clarification", N, expected_version=1))

    assert answer == Refusal("stale_version", "N-1 is at version 2")


def test_a_command_for_a_number_nobody_has_is_refused_with_its_rule() -> None:
    assert _rule(given().asked(command("take", "RU-2025-999999"))) == "unknown_ticket"


def test_a_reopened_ticket_goes_on_in_its_second_cycle() -> None:
    story = given(request(), command("take", N), command("close", N), command("reopen", N))

    assert (story.status(), story.ticket().cycle, story.ticket().version) == (Status.IN_PROCESSING, 2, 4)


def test_a_citizen_who_answers_brings_the_ticket_back_to_where_it_stood() -> None:
    untouched = given(chat_message(), command("ask_clarification", N), chat_message())
    taken = given(chat_message(), command("take", N), command("ask_clarification", N), chat_message())

    assert untouched.status() is Status.REGISTERED
    assert taken.status() is Status.IN_PROCESSING


def test_a_letter_that_lacks_something_is_registered_and_asked_back() -> None:
    story = given(letter(has_name=False, name=None, has_phone=False, phone=None))

    assert story.status() is Status.AWAITING_CLARIFICATION
    assert [type(d).__name__ for d in story.decisions] == ["TicketRegistered", "ClarificationAsked"]
    assert [(d.version, d.cause_ordinal, d.cause_count) for d in story.decisions] == [(1, 1, 2), (2, 2, 2)]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_can_be_left(status: Status) -> None:
    assert any(status in step.allowed_in and step.to is not status for step in STEPS.values())


def test_the_clock_of_decisions_never_goes_back_within_a_ticket() -> None:
    story = given(request(), command("take", N), command("close", N))

    times = [d.recorded_at for d in story.decisions]
    assert times == sorted(times)

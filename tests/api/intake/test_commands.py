"""Commands at the door: checked by form, published, and answered with what the desk decided."""

from typing import Any

import pytest

from events.commands import AskClarification, CloseTicket, RefuseTicket, TakeTicket
from events.envelope import Command
from events.places import Place
from events.vault.sealing import parse, unseal
from events.wire.codec import load_codec
from events.wire.publisher import NotTaken, OutcomeUnknown
from projectors.outcomes import OutcomeRow
from projectors.tokens import Token
from tests.api.intake.a_door import CANARY, NOW_US, Door, numbered, problem
from tests.api.tokens import bearer

TICKET = "RU-2025-000001"
TAKE = {"command": "take", "ticket": TICKET, "queue": "accounts"}
REFUSE = {
    "command": "refuse",
    "ticket": TICKET,
    "expected_version": 2,
    "reason_code": "documents.incomplete",
    "appeal_route": "pretrial",
    "explanation": f"Уважаемая {CANARY}, не хватает справки",
}
DECIDED = OutcomeRow("decided", "", "", None, None, [{"number": TICKET, "version": 3, "partition": 7, "offset": 90}])


def _refused(rule: str, version: int | None, detail: str = "") -> OutcomeRow:
    return OutcomeRow("refused", rule, detail, version, None, [])


def _only(door: Door) -> Command:
    (event,) = door.log.events
    assert isinstance(event, Command)
    return event


def test_a_command_that_the_desk_decided_in_time_is_answered_with_its_decisions(door: Door) -> None:
    door.outcomes.known[0] = DECIDED

    answer = door.command(TAKE)

    assert answer.status_code == 200
    assert answer.json()["decisions"] == DECIDED.decisions
    assert answer.json()["version"] == 3
    assert dict(Token.parse(answer.json()["position"])) == {("hotline.tickets", 7): 90}
    event = _only(door)
    assert isinstance(event, TakeTicket)
    assert (event.target, event.name, event.actor, event.queue, event.expected_version) == (
        TICKET,
        "take",
        "operator:op-17",
        "accounts",
        None,
    )
    assert (event.recorded_at, event.occurred_offset_min) == (NOW_US, 180)


@pytest.mark.parametrize("path", ["/v1/commands/", "/v1/contacts/phone/"])
def test_a_slash_too_many_is_no_address_and_never_a_redirect(door: Door, path: str) -> None:
    answer = door.send(path, b"{}", {"Host": "elsewhere.example"})

    assert (answer.status_code, problem(answer)["type"]) == (404, "not-found")
    assert "location" not in answer.headers


def test_a_command_that_is_not_decided_in_time_is_taken_all_the_same(door: Door) -> None:
    answer = door.command(TAKE)

    assert answer.status_code == 202
    assert dict(Token.parse(answer.json()["position"])) == {("hotline.commands", 0): 0}


def test_a_parked_command_says_that_it_waits(door: Door) -> None:
    door.outcomes.known[0] = OutcomeRow("parked", "", "", None, None, [])

    answer = door.command(TAKE)

    assert (answer.status_code, answer.json()["state"]) == (202, "parked")


def test_a_key_seen_before_is_answered_as_the_first_was(door: Door) -> None:
    door.outcomes.known = {0: DECIDED, 1: OutcomeRow("duplicate", "", "", None, Place("hotline.commands", 0, 0), [])}

    first, second = door.command(TAKE), door.command(TAKE)

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert len({event.event_id for event in door.log.events}) == 1


def test_another_key_or_another_operator_is_another_command(door: Door) -> None:
    door.command(TAKE, key="a")
    door.command(TAKE, key="b")

    assert len({event.event_id for event in door.log.events}) == 2


def test_a_key_may_hold_anything_and_only_its_digest_goes_on_the_log(door: Door) -> None:
    phone = "79161234567"

    door.command(TAKE, key=phone)
    door.command(TAKE, key=phone)
    door.command(TAKE, key="another")

    first, again, other = (event.idempotency_key for event in door.log.events if isinstance(event, Command))
    assert first == again != other
    assert len(bytes.fromhex(first)) == 16
    assert phone.encode() not in load_codec().encode(door.log.events[0], "test", None).value


def test_the_same_key_with_another_body_can_be_told_apart_by_the_desk(door: Door) -> None:
    door.command(TAKE)
    door.command(TAKE | {"queue": "other"})
    door.command(dict(reversed(TAKE.items())))

    digests = [event.body_digest for event in door.log.events if isinstance(event, Command)]
    assert digests[0] != digests[1]
    assert digests[0] == digests[2]


def test_a_stale_version_is_answered_with_what_the_caller_had_not_seen(door: Door) -> None:
    door.outcomes.known[0] = _refused("stale_version", 4, "the ticket is at version 4")
    door.outcomes.history = numbered([(1, "registered"), (2, "taken"), (3, "asked"), (4, "answered")])

    answer = door.command(REFUSE)

    found = problem(answer)
    assert (answer.status_code, found["type"], found["version"]) == (409, "stale-version", 4)
    assert [(event["version"], event["type"]) for event in found["events"]] == [(3, "asked"), (4, "answered")]
    assert found["events"][0]["recorded_at"] == "2025-03-14T06:26:53.120000Z"


@pytest.mark.parametrize("rule", ["unknown_ticket", "not_in_this_status", "key_used_for_another_body"])
def test_what_the_rules_do_not_allow_is_refused_with_the_rule(door: Door, rule: str) -> None:
    door.outcomes.known[0] = _refused(rule, None)

    answer = door.command(TAKE)

    found = problem(answer)
    assert (answer.status_code, found["type"], found["rule"]) == (422, "refused", rule)


def test_the_words_of_a_command_are_sealed_under_the_ticket(door: Door) -> None:
    door.command(REFUSE)

    event = _only(door)
    assert isinstance(event, RefuseTicket)
    assert event.explanation is not None
    assert unseal(bytes(32), event.explanation).decode() == REFUSE["explanation"]
    sealed = parse(event.explanation)
    assert (sealed.origin_event_id, sealed.origin_field) == (event.event_id, "explanation")
    assert (event.reason_code, event.appeal_route, event.expected_version) == ("documents.incomplete", "pretrial", 2)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"command": "ask_clarification", "ticket": TICKET, "question": "Какой у вас паспорт?"}, AskClarification),
        ({"command": "close", "ticket": TICKET, "resolution_code": "helped"}, CloseTicket),
        ({"command": "close", "ticket": TICKET, "resolution_code": "helped", "explanation": "Всё"}, CloseTicket),
    ],
)
def test_each_word_becomes_its_event(door: Door, document: dict[str, object], kind: type[Command]) -> None:
    assert door.command(document).status_code == 202

    assert isinstance(_only(door), kind)


BAD: dict[str, tuple[object, str, str]] = {
    "an unknown word": (TAKE | {"command": "forget"}, "command", "unknown_word"),
    "no word": ({"ticket": TICKET}, "command", "missing"),
    "no ticket": ({"command": "take", "queue": "x"}, "ticket", "missing"),
    "a name for a ticket": (TAKE | {"ticket": CANARY}, "ticket", "ticket_number_expected"),
    "a version that is no number": (TAKE | {"expected_version": "2"}, "expected_version", "whole_number_expected"),
    "a version below one": (TAKE | {"expected_version": 0}, "expected_version", "too_small"),
    "a version too great": (TAKE | {"expected_version": 2**31}, "expected_version", "too_great"),
    "a queue that is no code": (TAKE | {"queue": CANARY}, "queue", "code_expected"),
    "a phone for a queue": (TAKE | {"queue": "89161234567"}, "queue", "looks_like_a_phone"),
    "no reason": ({k: v for k, v in REFUSE.items() if k != "reason_code"}, "reason_code", "missing"),
    "no way to appeal": (REFUSE | {"appeal_route": ""}, "appeal_route", "code_expected"),
    "blank words": (REFUSE | {"explanation": " \n"}, "explanation", "blank"),
    "no words": (REFUSE | {"explanation": ""}, "explanation", "blank"),
    "too many words": (REFUSE | {"explanation": "ж" * 100_001}, "explanation", "too_long"),
    "NUL": (REFUSE | {"explanation": f"{CANARY}\0"}, "explanation", "nul_character"),
    "a list": ([TAKE], "", "object_expected"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_command_that_breaks_its_form_is_refused_by_field_and_rule(door: Door, what: str) -> None:
    document, field, rule = BAD[what]

    answer = door.command(document)

    found = problem(answer)
    assert (answer.status_code, found["type"], found.get("field", ""), found["rule"]) == (422, "broken-rule", field, rule)
    assert door.log.events == []


@pytest.mark.parametrize(
    ("key", "rule"), [(None, "missing"), ("", "missing"), ("two words", "pattern"), ("x" * 201, "pattern"), ("a/b", "pattern")]
)
def test_a_command_needs_a_key_that_is_no_text(door: Door, key: str | None, rule: str) -> None:
    answer = door.command(TAKE, key)

    found = problem(answer)
    assert (answer.status_code, found["field"], found["rule"]) == (422, "Idempotency-Key", rule)


@pytest.mark.parametrize("query", ["?wait_ms=-1", "?wait_ms=10001", "?wait_ms=Канарейкина"])
def test_the_wait_is_bounded(door: Door, query: str) -> None:
    answer = door.command(TAKE, query=query)

    assert (answer.status_code, problem(answer)["field"]) == (422, "wait_ms")


@pytest.mark.parametrize("role", ["adapter", "auditor"])
def test_only_operators_command(door: Door, role: str) -> None:
    answer = door.command(TAKE, role=role)

    assert (answer.status_code, problem(answer)["right"]) == (403, "command")


@pytest.mark.parametrize(("failure", "status"), [(NotTaken("x"), 503), (OutcomeUnknown("x"), 504)])
def test_without_an_acknowledgement_a_command_is_never_taken(door: Door, failure: Exception, status: int) -> None:
    door.log.answers_with = [failure]

    assert door.command(TAKE).status_code == status


def test_with_an_empty_pool_only_commands_without_words_are_taken(door: Door) -> None:
    door.ring.keys = 0

    assert problem(door.command(REFUSE))["type"] == "out-of-keys"
    assert door.command(TAKE).status_code == 202


@pytest.mark.parametrize(("body", "status"), [(b"oops", 400), (b" " * 1_000_001, 413)])
def test_a_command_that_cannot_be_read_is_refused(door: Door, body: bytes, status: int) -> None:
    headers: dict[str, Any] = bearer("operator") | {"Content-Type": "application/json", "Idempotency-Key": "k"}

    assert door.send("/v1/commands", body, headers).status_code == status

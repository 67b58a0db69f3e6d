"""Cards, pages and histories of tickets."""

import re
from collections.abc import Callable
from typing import Any

import psycopg

from events.envelope import FACTS, TICKETS
from events.places import Place
from events.tickets import TicketRefused
from projectors import parked
from projectors.parked import ParkedRecord
from projectors.tokens import Token
from tests.made import CONTACT, MORNING, NUMBER, closed, made, registered, taken

CARD = f"/v1/tickets/{NUMBER}"
Ask = Callable[..., Any]
Follow = Callable[..., None]

#: What the contract says a card has.
CONTRACT = {
    *("number", "status", "version", "channel", "kind", "topic", "legal_class", "queue", "opened_at", "changed_at", "expected_at"),
    *("statutory_due_at", "refusal_reason", "appeal_route", "next_step", "links", "parked", "position"),
}


def test_card_has_every_field_of_the_contract_and_null_where_the_rule_comes_later(follow: Follow, ask: Ask) -> None:
    follow(registered(has_name=True, name=b"sealed"), taken(2))

    answer = ask(CARD)

    card = answer.json()
    assert answer.status_code == 200
    assert card.keys() >= CONTRACT
    assert (card["number"], card["status"], card["version"], card["queue"]) == (NUMBER, "in_processing", 2, "accounts")
    assert [card[name] for name in ("legal_class", "expected_at", "statutory_due_at", "refusal_reason", "parked")] == [None] * 5
    assert card["opened_at"] == "2025-03-14T09:26:53.120000+03:00"
    assert card["people"] == {"name": "•••", "phone": None, "text": None}
    assert card["links"] == [{"rel": "contact", "href": f"/v1/contacts/{CONTACT.hex()}"}]


def test_card_tells_its_position_in_the_header_and_in_the_body(follow: Follow, ask: Ask) -> None:
    follow(registered())

    answer = ask(CARD)

    assert answer.headers["position"] == answer.json()["position"]
    assert dict(Token.parse(answer.headers["position"])) == {(TICKETS, 0): 1}


def test_card_that_has_not_changed_is_304(follow: Follow, ask: Ask) -> None:
    follow(registered())
    etag = ask(CARD).headers["etag"]

    same, other = ask(CARD, headers={"If-None-Match": etag}), ask(CARD, headers={"If-None-Match": 'W/"1-000000000000"'})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200


def test_unknown_number_and_what_is_no_number_answer_alike(follow: Follow, ask: Ask) -> None:
    follow(registered())

    for number in ("RU-2025-999999", "nonsense", "RU-2025-1'--", "%00"):
        answer = ask(f"/v1/tickets/{number}")
        assert (answer.status_code, answer.json()["type"]) == (404, "unknown-ticket")


def test_merged_ticket_links_to_the_one_that_goes_on(follow: Follow, ask: Ask) -> None:
    follow(registered(), closed(2, merged_into="RU-2025-000007"))

    assert {"rel": "merged_into", "href": "/v1/tickets/RU-2025-000007"} in ask(CARD).json()["links"]


def test_card_says_that_records_about_its_ticket_wait_for_repair(follow: Follow, ask: Ask, database: str) -> None:
    follow(registered(), registered("RU-2025-000002", contact_id=b"x" * 16))
    before = ask(CARD).headers["etag"]
    waiting = [
        ParkedRecord("ticket_status_v1", TICKETS, 0, 7, NUMBER.encode(), MORNING, False, b"", "Poison", MORNING + 5_000_000),
        ParkedRecord("desk_v1", FACTS, 3, 9, CONTACT.hex().encode(), MORNING, False, b"", "Poison", MORNING),
    ]
    with psycopg.connect(database) as db:
        parked.add(db, waiting)
        db.execute("INSERT INTO read_model_build VALUES ('ticket_status', 2, 1, 'ticket_status_v2', 'following', false)")
        parked.add(db, [waiting[0]._replace(consumer="ticket_status_v2", key=b"RU-2025-000002")])

    card, other = ask(CARD, headers={"If-None-Match": before}), ask("/v1/tickets/RU-2025-000002")

    assert card.json()["parked"] == {"since": "2025-03-14T06:26:53.120000Z", "by": ["desk", "ticket_status"]}
    assert other.json()["parked"] is None


def numbers(count: int) -> list[str]:
    return [f"RU-2025-{n:06}" for n in range(1, count + 1)]


def test_pages_are_the_newest_first_and_lose_nothing(follow: Follow, ask: Ask) -> None:
    follow(*(registered(number, opened_at=MORNING + n // 3) for n, number in enumerate(numbers(8))), partitions=3)
    seen, address, params = [], "/v1/tickets", {"limit": 3}

    for _ in range(3):
        answer = ask(address, **params)
        seen += [card["number"] for card in answer.json()["rows"]]
        following = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("link", ""))
        address, params = (following[1], {}) if following else ("", {})

    assert seen == numbers(8)[::-1]
    assert address == ""


def test_page_says_of_which_tickets_records_wait_for_repair(follow: Follow, ask: Ask, database: str) -> None:
    first, second, third = numbers(3)
    follow(registered(first), registered(second, contact_id=b"x" * 16), registered(third, contact_id=b"y" * 16))
    waiting = ParkedRecord("ticket_status_v1", TICKETS, 0, 7, first.encode(), MORNING, False, b"", "Poison", MORNING)
    with psycopg.connect(database) as db:
        parked.add(db, [waiting, waiting._replace(consumer="desk_v1", topic=FACTS, key=(b"x" * 16).hex().encode())])

    rows = ask("/v1/tickets").json()["rows"]

    assert {card["number"]: card["parked"] and card["parked"]["by"] for card in rows} == {
        first: ["ticket_status"],
        second: ["desk"],
        third: None,
    }


def test_filters_narrow(follow: Follow, ask: Ask) -> None:
    first, second, third = numbers(3)
    follow(
        registered(first),
        registered(second, channel="chat", opened_at=MORNING + 60_000_000),
        taken(2, second),
        registered(third, kind="complaint"),
    )

    def found(**params: Any) -> list[str]:
        return sorted(card["number"] for card in ask("/v1/tickets", **params).json()["rows"])

    assert found(status="in_processing") == found(queue="accounts") == found(channel="chat") == [second]
    assert found(opened_from="2025-03-14T06:27:00Z") == found(opened_from="2025-03-14T09:27:00+03:00") == [second]
    assert found(opened_to="2025-03-14T06:27:00Z") == [first, third]
    assert found(kind="complaint") == [third]
    assert found(overdue=True) == []
    assert found(topic="account.locked") == [first, second, third]


def test_cursor_fits_only_its_own_question(follow: Follow, ask: Ask) -> None:
    follow(*(registered(number) for number in numbers(3)))
    cursor = ask("/v1/tickets", limit=2).json()["next"]

    assert ask("/v1/tickets", cursor=cursor).json()["rows"][0]["number"] == numbers(3)[0]
    for wrong in ({"cursor": cursor, "channel": "phone"}, {"cursor": cursor[:-2] + "AA"}, {"cursor": "ы"}, {"cursor": "a"}):
        assert ask("/v1/tickets", **wrong).json()["type"] == "bad-cursor"


def test_wrong_filters_are_problems_that_name_the_field(follow: Follow, ask: Ask) -> None:
    follow(registered())

    for params, status, field in (
        ({"limit": 201}, 422, "limit"),
        ({"limit": 0}, 422, "limit"),
        ({"status": "open"}, 422, "status"),
        ({"opened_from": "yesterday"}, 400, "opened_from"),
        ({"opened_from": "2025-03-14T06:27:00"}, 400, "opened_from"),
        ({"queue": "a\0b"}, 422, "queue"),
        ({"opened_to": "0001-01-01T00:00:00+14:00"}, 200, None),
    ):
        answer = ask("/v1/tickets", **params)
        assert (answer.status_code, answer.json().get("field")) == (status, field), params


def test_history_shows_every_decision_once_with_its_place_and_people_masked(follow: Follow, ask: Ask) -> None:
    follow(
        registered(name=b"sealed"), taken(2), made(TicketRefused, version=3, reason_code="r", appeal_route="court", explanation=b"sealed")
    )

    rows = ask(f"{CARD}/history").json()["rows"]

    assert [(r["version"], r["type"].split(".")[-1], r["offset"]) for r in rows] == [
        (1, "TicketRegistered", 0),
        (2, "TicketTaken", 1),
        (3, "TicketRefused", 2),
    ]
    assert (rows[0]["event"]["name"], rows[0]["event"]["phone"], rows[2]["event"]["explanation"]) == ("•••", None, "•••")
    assert rows[1]["actor"] == "operator:17"


def test_long_history_comes_in_pages(follow: Follow, ask: Ask) -> None:
    follow(registered(), *(taken(version) for version in range(2, 8)))

    first = ask(f"{CARD}/history", limit=4).json()
    second = ask(f"{CARD}/history", limit=4, cursor=first["next"]).json()

    assert [r["version"] for r in first["rows"] + second["rows"]] == [1, 2, 3, 4, 5, 6, 7]
    assert second["next"] is None


def test_position_of_a_card_is_reached_at_once(follow: Follow, ask: Ask) -> None:
    follow(registered())
    position = ask(CARD).headers["position"]

    assert ask(CARD, at_least=position, wait_ms=0).status_code == 200


def test_position_that_is_not_reached_in_time_is_503(follow: Follow, ask: Ask) -> None:
    follow(registered())

    answer = ask(CARD, at_least=Token.of([Place(TICKETS, 0, 99)]).encode(), wait_ms=50)

    assert (answer.status_code, answer.json()["type"], answer.headers["retry-after"]) == (503, "not-reached", "1")


def test_text_that_is_no_token_is_400(ask: Ask) -> None:
    assert (ask(CARD, at_least="h1.zzzz").status_code, ask(CARD, at_least="h1.zzzz").json()["type"]) == (400, "bad-token")
    assert ask(CARD, wait_ms=10_001).status_code == 422


def test_short_way_and_documented_route_answer_alike(follow: Follow, ask: Ask) -> None:
    follow(registered(has_text=True), taken(2))

    for number, role in ((NUMBER, "operator"), ("RU-2025-999999", "operator"), ("nonsense", "operator"), (NUMBER, "adapter")):
        short, documented = ask(f"/v1/tickets/{number}", role), ask(f"/v1/tickets/{number}", role, wait_ms=0)
        assert (short.status_code, short.json()) == (documented.status_code, documented.json())
        assert short.headers.get("etag") == documented.headers.get("etag")

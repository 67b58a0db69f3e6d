"""What nobody was given by us: cursors of another shape, days that no clock can tell, addresses with a slash too many."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.queries import pages
from projectors.ticket_status import TicketFilter
from tests.api.tokens import bearer
from tests.made import NUMBER

Ask = Callable[..., Any]
HISTORY = f"/v1/tickets/{NUMBER}/history"
DAY = {"past_floor_on": "2025-01-01"}
QUESTIONS: dict[str, dict[str, str | None]] = {
    HISTORY: {},
    "/v1/tickets": dict.fromkeys((*TicketFilter._fields, "as_of")),
    "/v1/audit": dict.fromkeys(("ticket", "contact", "subject", "actor", "type", "topic", "from", "to")),
    "/v1/retention": dict(DAY),
}
FORGED = (
    *((HISTORY, after) for after in ([1, 2], 5, [True], ["1"], [1.5], [2**63], [2**70], None, [], {"1": 1})),
    *(("/v1/tickets", after) for after in ([1, 2], [1], {"a": 1}, ["x", 1], [False, "x"], [1, "x\0"])),
    *(("/v1/audit", after) for after in ([1, 2, 3, 4], [1, "t", True, 4], [1, "t", 1], "1t34")),
    *(("/v1/retention", after) for after in ([1, 2, 3], ["a", "b", "c"], [1, "b"], [1, "b", None])),
)


@pytest.mark.parametrize(("path", "after"), FORGED, ids=repr)
def test_a_forged_cursor_is_a_bad_cursor(ask: Ask, path: str, after: object) -> None:
    asked = QUESTIONS[path]
    place = json.dumps(after).encode()
    cursor = urlsafe_b64encode(place + pages._digest(path, asked, place)).rstrip(b"=").decode()

    answer = ask(path, "auditor", cursor=cursor, **{name: value for name, value in asked.items() if value is not None})

    told = answer.json()
    assert (answer.status_code, told["type"], told["field"]) == (400, "bad-cursor", "cursor")
    assert told.get("detail") == pages.MISSHAPEN  # the digest was right: it is the shape that was looked at


def test_a_cursor_that_is_no_json_is_a_bad_cursor(ask: Ask) -> None:
    cursor = urlsafe_b64encode(b"[1" + pages._digest(HISTORY, {}, b"[1")).rstrip(b"=").decode()

    assert ask(HISTORY, cursor=cursor).json()["type"] == "bad-cursor"


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_day_at_the_end_of_the_calendar_is_answered_or_refused_by_name(ask: Ask, day: str) -> None:
    answer = ask("/v1/retention", "auditor", past_floor_on=day)

    assert answer.status_code in {422, 503}  # 503: no read model was built here
    assert answer.json().get("field") == ("past_floor_on" if answer.status_code == 422 else None)


@pytest.mark.parametrize("path", ["/v1/tickets/", "/v1/audit/", "/v1/retention/", f"{HISTORY}/", "/livez/", "/docs/", "/openapi.json/"])
def test_a_slash_too_many_is_no_address_and_never_a_redirect(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=bearer("auditor") | {"Host": "elsewhere.example"})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "location" not in answer.headers

"""The register of lines as screens and telephony ask for it: who answers now, and until when."""

from collections.abc import Callable
from typing import Any

import pytest

from events.reference import load

pytestmark = pytest.mark.parts
ADDRESS = "/v1/lines"


def _line(answer: Any, code: str) -> dict[str, Any]:
    (line,) = (line for line in answer.json()["rows"] if line["code"] == code)
    return dict(line)


@pytest.mark.parametrize("role", ["adapter", "operator", "auditor"])
def test_every_line_of_the_register_is_told_to_every_role(ask: Callable[..., Any], role: str) -> None:
    answer = ask(ADDRESS, role)

    assert answer.status_code == 200
    assert [line["code"] for line in answer.json()["rows"]] == [line.code for line in load().lines]


@pytest.mark.parametrize(
    ("at", "is_open", "changes_at"),
    [
        ("2025-03-14T09:00:00+03:00", True, "2025-03-14T21:00:00+03:00"),
        ("2025-03-14T20:59:59.999999+03:00", True, "2025-03-14T21:00:00+03:00"),
        ("2025-03-14T21:00:00+03:00", False, "2025-03-15T09:00:00+03:00"),
        ("2025-12-31T18:30:00+00:00", False, "2026-01-01T09:00:00+03:00"),
    ],
)
def test_a_line_with_hours_says_until_when(ask: Callable[..., Any], at: str, is_open: bool, changes_at: str) -> None:
    """R28, G1, G32; days off are no matter to a line that is open daily."""
    line = _line(ask(ADDRESS, at=at), "business.medium")

    assert (line["number"], line["open"], line["changes_at"]) == ("+78005553131", is_open, changes_at)


def test_a_line_round_the_clock_is_open_at_new_year_too(ask: Callable[..., Any]) -> None:
    """R3, R25."""
    line = _line(ask(ADDRESS, at="2026-01-01T03:00:00+03:00"), "business.large")

    assert (line["open"], line["changes_at"]) == (True, None)


@pytest.mark.parametrize(
    "at", ["yesterday", "2025-03-14T09:00:00", "1999-12-31T23:59:59+00:00", "2100-01-01T00:00:00+00:00", "9999-12-31T23:59:59-12:00"]
)
def test_a_moment_that_no_calendar_is_made_for_is_refused_by_name(ask: Callable[..., Any], at: str) -> None:
    answer = ask(ADDRESS, at=at)

    assert (answer.status_code, answer.json()["type"], answer.json()["field"]) == (400, "bad-filter", "at")


def test_nobody_is_told_without_a_token(client: Any) -> None:
    assert client.get(ADDRESS).status_code == 401

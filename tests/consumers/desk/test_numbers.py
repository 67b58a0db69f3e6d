"""Ticket numbers (R314-R323, G5, G6)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from consumers.desk.numbers import Series, series_of, written

MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(("sequence", "number"), [(1234, "RU-2025-001234"), (999_999, "RU-2025-999999"), (1_000_000, "RU-2025-1000000")])
def test_a_number_has_at_least_six_digits_and_may_outgrow_them(sequence: int, number: str) -> None:
    assert written(Series("RU", 2025), sequence, 6) == number


@pytest.mark.parametrize(
    ("at", "year"), [(datetime(2025, 12, 31, 20, 59, 59, tzinfo=UTC), 2025), (datetime(2025, 12, 31, 21, tzinfo=UTC), 2026)]
)
def test_the_year_turns_at_midnight_in_the_service_s_zone(at: datetime, year: int) -> None:
    assert series_of("RU", int(at.timestamp()) * 1_000_000, MOSCOW) == Series("RU", year)

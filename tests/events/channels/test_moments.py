"""Times as adapters write them (R340, G7)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.channels.moments import BadMoment, Moment, moment_of, parse_moment

SAME = Moment(1_741_933_613_120_000, 180)


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-14T09:26:53.120+03:00",
        "2025-03-14T09:26:53.12+03",
        "2025-03-14t09:26:53.120000999+0300",
        "2025-03-14 09:26:53.120+03:00",
        "2025-03-14 T09:26:53.120 +03",
    ],
)
def test_one_moment_may_be_written_in_several_ways(text: str) -> None:
    assert parse_moment(text) == SAME


def test_utc_may_be_a_letter() -> None:
    assert parse_moment("2025-03-14T06:26:53.120Z") == Moment(SAME.us, 0)


@pytest.mark.parametrize("text", ["", "now", "2024-03-15", "٢٠٢٥-03-14T09:26:53Z", "2024-03-15T09:26:53.120", "2100-01-01T00:00:00Z"])
def test_what_names_no_moment_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(BadMoment) as bad:
        parse_moment(text)

    assert not text or text not in str(bad.value)


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001 - hypothesis wants bounds without a zone
    st.integers(-14 * 60, 14 * 60),
)
def test_any_moment_reads_as_it_was_written(naive: datetime, offset_min: int) -> None:
    told = naive.replace(tzinfo=timezone(timedelta(minutes=offset_min)))

    since_1970 = told - datetime(1970, 1, 1, tzinfo=UTC)
    us = (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000 + since_1970.microseconds
    assert parse_moment(told.isoformat()) == moment_of(told) == Moment(us, offset_min)

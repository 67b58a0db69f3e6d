"""Working time: every day of four years as the decrees say, clocks that change, and a count that agrees with one minute by minute."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.clocks.calendars import ALL_DAY, Calendar, Hours, NeverOpen
from events.reference import load

CALENDARS = load().calendars.by_code
OFFICE = CALENDARS["office"]
MOSCOW = ZoneInfo("Europe/Moscow")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

# Written down by hand from the production calendars: weekdays that are off, weekends that are worked, days that are an hour shorter
OFF = {
    2024: "01-01 01-02 01-03 01-04 01-05 01-08 02-23 03-08 04-29 04-30 05-01 05-09 05-10 06-12 11-04 12-30 12-31",
    2025: "01-01 01-02 01-03 01-06 01-07 01-08 05-01 05-02 05-08 05-09 06-12 06-13 11-03 11-04 12-31",
    2026: "01-01 01-02 01-05 01-06 01-07 01-08 01-09 02-23 03-09 05-01 05-11 06-12 11-04 12-31",
    2027: "01-01 01-04 01-05 01-06 01-07 01-08 02-22 02-23 03-08 05-03 05-10 06-14 11-04 11-05 12-31",
}
WORKED = {2024: "04-27 11-02 12-28", 2025: "11-01", 2026: "", 2027: "02-20"}
SHORT = {
    2024: "02-22 03-07 05-08 06-11 11-02",
    2025: "03-07 04-30 06-11 11-01",
    2026: "04-30 05-08 06-11 11-03",
    2027: "02-20 04-30 06-11 11-03",
}
WORKING_DAYS = {2024: 248, 2025: 247, 2026: 247, 2027: 247}


def _days(written: Mapping[int, str], year: int) -> set[date]:
    return {date.fromisoformat(f"{year}-{day}") for day in written[year].split()}


def _all_of(year: int) -> list[date]:
    return [date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]


@pytest.mark.parametrize("year", sorted(OFF))
def test_every_day_of_a_year_is_as_its_decree_says(year: int) -> None:
    worked = {day for day in _all_of(year) if OFFICE.hours_on(day)}
    short = {day for day in worked if sum(closes - opens for opens, closes in OFFICE.hours_on(day)) == 7 * 60}

    weekdays = {day for day in _all_of(year) if day.weekday() < 5}
    assert worked == (weekdays - _days(OFF, year)) | _days(WORKED, year)
    assert short == _days(SHORT, year)


@pytest.mark.parametrize("year", sorted(OFF))
def test_a_year_of_forty_hour_weeks_is_as_long_as_is_published(year: int) -> None:
    begins, ends = datetime(year, 1, 1, tzinfo=MOSCOW), datetime(year + 1, 1, 1, tzinfo=MOSCOW)

    assert sum(bool(OFFICE.hours_on(day)) for day in _all_of(year)) == WORKING_DAYS[year]
    assert OFFICE.worked(begins, ends) == WORKING_DAYS[year] * 8 * HOUR - len(_days(SHORT, year)) * HOUR


def test_a_year_without_a_decree_follows_the_law_alone() -> None:
    """2028: 8 March falls on a Wednesday; 4 November on a Saturday, so Monday the 6th is off; 1 and 2 January stay where they are."""
    assert not OFFICE.hours_on(date(2028, 3, 8))
    assert not OFFICE.hours_on(date(2028, 11, 6))
    assert OFFICE.hours_on(date(2028, 1, 10))


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2025-03-14T12:00:00+03:00", "2025-03-22T00:00:00+03:00"),  # a Friday: the next five are Monday to Friday
        ("2025-03-15T12:00:00+03:00", "2025-03-22T00:00:00+03:00"),  # a Saturday
        ("2025-03-14T22:30:00+00:00", "2025-03-22T00:00:00+03:00"),  # already Saturday in Moscow
        ("2024-12-27T09:00:00+03:00", "2025-01-15T00:00:00+03:00"),  # 28 December is worked; then 9, 10, 13 and 14 January
        ("2025-04-29T23:59:59+03:00", "2025-05-13T00:00:00+03:00"),  # 30 April, then 5, 6, 7 and 12 May
    ],
)
def test_five_working_days_end_with_the_fifth_after_the_day_of_receipt(received: str, due: str) -> None:
    """G16, R154."""
    assert OFFICE.end_of_day(datetime.fromisoformat(received), 5) == datetime.fromisoformat(due)


def _weekly(zone: str, hours: Hours) -> Calendar:
    return Calendar(ZoneInfo(zone), (hours,) * 7)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2025, 3, 30), 23),  # the clock goes from 02:00 to 03:00
        ("Europe/Berlin", date(2025, 10, 26), 25),  # from 03:00 back to 02:00
        ("Europe/Moscow", date(2014, 10, 26), 25),  # the zone changed its offset for good
        ("Asia/Yekaterinburg", date(2025, 3, 30), 24),
    ],
)
def test_a_day_round_the_clock_is_as_long_as_its_zone_makes_it(zone: str, day: date, hours: int) -> None:
    begins = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    ends = begins + timedelta(days=1)  # of the local clock

    assert _weekly(zone, ALL_DAY).worked(begins, ends) == hours * HOUR
    assert _weekly(zone, ALL_DAY).changes_at(begins) is None


def test_a_line_in_another_zone_opens_by_its_own_clock() -> None:
    line = _weekly("Asia/Kamchatka", ((9 * 60, 21 * 60),))

    assert line.is_open(datetime(2025, 6, 2, 21, 0, tzinfo=UTC))
    assert not line.is_open(datetime(2025, 6, 2, 20, 59, 59, tzinfo=UTC))
    assert line.changes_at(datetime(2025, 6, 2, 10, 0, tzinfo=UTC)) == datetime(2025, 6, 2, 21, 0, tzinfo=UTC)


def test_what_closes_at_midnight_and_opens_then_does_not_close() -> None:
    evenings = Calendar(MOSCOW, (((0, 120), (18 * 60, 1440)),) * 7)

    assert evenings.changes_at(datetime(2025, 3, 14, 19, 0, tzinfo=MOSCOW)) == datetime(2025, 3, 15, 2, 0, tzinfo=MOSCOW)


def test_a_dated_exception_overrules_the_week_and_the_decree() -> None:
    calendar = Calendar(MOSCOW, OFFICE.week, {date(2025, 3, 17): (), date(2025, 5, 9): ((600, 660),)}, OFFICE.days_off, 60)

    assert calendar.hours_on(date(2025, 3, 17)) == ()
    assert calendar.hours_on(date(2025, 5, 9)) == ((600, 660),)


def test_who_never_opens_is_no_endless_search() -> None:
    closed = Calendar(MOSCOW, ((),) * 7)

    with pytest.raises(NeverOpen):
        closed.after(datetime(2025, 3, 14, tzinfo=UTC), MINUTE)
    with pytest.raises(NeverOpen):
        closed.end_of_day(datetime(2025, 3, 14, tzinfo=UTC), 1)
    assert closed.changes_at(datetime(2025, 3, 14, tzinfo=UTC)) is None


ZONES = ("Europe/Moscow", "Europe/Berlin", "Asia/Kamchatka", "America/St_Johns", "UTC")


@st.composite
def hours(draw: st.DrawFn) -> Hours:
    edges = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
    return tuple((opens * 15, closes * 15) for opens, closes in zip(edges[::2], edges[1::2], strict=False))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    week = tuple(draw(hours()) for _ in range(7))
    dated = draw(st.dictionaries(st.dates(date(2025, 3, 24), date(2025, 4, 2)), hours(), max_size=2))
    off = OFFICE.days_off if draw(st.booleans()) else None
    return Calendar(ZoneInfo(draw(st.sampled_from(ZONES))), week, dated, off, draw(st.sampled_from([0, 60])))


moments = st.integers(0, 7 * 24 * 60).map(lambda n: datetime(2025, 3, 25, tzinfo=UTC) + n * MINUTE)


def _open_by_the_wall(calendar: Calendar, at: datetime) -> bool:
    """What a clerk with a clock on the wall would say."""
    local = at.astimezone(calendar.zone)
    return any(opens <= local.hour * 60 + local.minute < closes for opens, closes in calendar.hours_on(local.date()))


def _changes_its_clock(calendar: Calendar, since: datetime, until: datetime) -> bool:
    return since.astimezone(calendar.zone).utcoffset() != until.astimezone(calendar.zone).utcoffset()


@settings(max_examples=150, deadline=None)
@given(calendars(), moments, st.integers(0, 3 * 24 * 60))
def test_what_was_worked_is_what_a_count_minute_by_minute_says(calendar: Calendar, since: datetime, minutes: int) -> None:
    until = since + minutes * MINUTE
    opens = [calendar.is_open(since + n * MINUTE) for n in range(minutes)]

    assert calendar.worked(since, until) == sum(opens) * MINUTE
    if not _changes_its_clock(calendar, since, until):
        assert opens == [_open_by_the_wall(calendar, since + n * MINUTE) for n in range(minutes)]


@settings(max_examples=150, deadline=None)
@given(calendars(), moments, st.integers(1, 3_000))
def test_after_so_much_work_so_much_was_worked(calendar: Calendar, since: datetime, minutes: int) -> None:
    try:
        due = calendar.after(since, minutes * MINUTE)
    except NeverOpen:
        assert calendar.worked(since, since + timedelta(days=3_000)) < minutes * MINUTE
        return

    assert calendar.worked(since, due) == minutes * MINUTE
    assert calendar.worked(since, due - MINUTE) == (minutes - 1) * MINUTE


@settings(max_examples=150, deadline=None)
@given(calendars(), moments)
def test_until_it_changes_it_is_as_it_is_now_and_then_it_is_not(calendar: Calendar, at: datetime) -> None:
    changes = calendar.changes_at(at)
    if changes is None:
        return

    now = calendar.is_open(at)
    assert calendar.is_open(changes) != now
    assert calendar.worked(at, changes) == (changes - at if now else timedelta())

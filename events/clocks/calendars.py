"""Working time: when something is open, how much of a stretch of time was worked, and when so much will have been.

Pure functions over a week of hours, dated exceptions and, where a calendar follows them, the days off by law and by decree. Every moment
goes in and comes out with an offset; what comes out is in UTC. Between an opening and a closing time passes as it does on any clock,
however often the zone changes its own meanwhile; an hour that the zone's clock shows twice counts from its first showing.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY_MIN = 24 * 60
_ONE_DAY = timedelta(days=1)
_SATURDAY = 5
_FURTHEST_DAYS = 3_660  # ten years: who is closed for so long never opens

MonthDay = tuple[int, int]
#: Minutes since local midnight, `(opens, closes)`; a day has several in their order, none overlapping the next.
Hours = tuple[tuple[int, int], ...]
ALL_DAY: Hours = ((0, DAY_MIN),)
#: A stretch of open time in UTC, its end not included.
Span = tuple[datetime, datetime]


class NeverOpen(Exception):
    """The calendar has no open time within ten years; the message names the day from which it was looked for."""


class DaysOff:
    """Which days are off by law (Labour Code, art. 112) and what the decrees of each year move."""

    def __init__(self, new_year: Set[MonthDay], holidays: Set[MonthDay], moved: Mapping[date, date]) -> None:
        """`moved` tells by a day off which working day is off in its place.

        Where days of `new_year` fall on a weekend, a decree alone moves them; for one of `holidays` that no decree moves, the next
        working day is off.
        """
        self._new_year, self._holidays, self._moved = new_year, holidays, moved
        self._instead: dict[int, frozenset[date]] = {}

    def is_holiday(self, day: date) -> bool:
        """Say whether the law names the day."""
        return (day.month, day.day) in self._new_year or (day.month, day.day) in self._holidays

    def worked_as(self, day: date) -> date | None:
        """Return the day whose hours are worked: `day`, or what a weekend was moved to that is worked for it; None if it is off."""
        if self.is_holiday(day) or day in self._off_instead(day.year):
            return None
        return self._moved.get(day) if day.weekday() >= _SATURDAY else day

    def is_short(self, day: date) -> bool:
        """Say whether a day with these hours ends earlier: it comes right before a holiday (art. 95)."""
        return self.is_holiday(day + _ONE_DAY)

    def _off_instead(self, year: int) -> frozenset[date]:
        """Return the days of a year that are off in the place of others."""
        if (known := self._instead.get(year)) is not None:
            return known
        off = {to for to in self._moved.values() if to.year == year}
        for month, number in sorted(self._holidays):
            holiday = date(year, month, number)
            if holiday.weekday() < _SATURDAY or holiday in self._moved:
                continue
            instead = holiday + _ONE_DAY
            while instead.weekday() >= _SATURDAY or instead in off or self.is_holiday(instead):
                instead += _ONE_DAY
            off.add(instead)
        return self._instead.setdefault(year, frozenset(off))


@dataclass(frozen=True)
class Calendar:
    """A week of hours in a zone; `dated` overrules everything, `days_off` the week."""

    zone: ZoneInfo
    week: tuple[Hours, ...]  # from Monday
    dated: Mapping[date, Hours] = field(default_factory=dict)
    days_off: DaysOff | None = None
    short_min: int = 0  # by so much a day before a holiday ends earlier

    def hours_on(self, day: date) -> Hours:
        """Return the hours of a local day."""
        if day in self.dated:
            return self.dated[day]
        if self.days_off is None:
            return self.week[day.weekday()]
        as_if = self.days_off.worked_as(day)
        if as_if is None:
            return ()
        hours = self.week[as_if.weekday()]
        return _ending_earlier(hours, self.short_min) if self.days_off.is_short(as_if) else hours

    def is_open(self, at: datetime) -> bool:
        """Say whether a moment lies in open time."""
        return any(opens <= at < closes for opens, closes in self._spans_around(at))

    def changes_at(self, at: datetime) -> datetime | None:
        """Return when what is open at `at` closes, or what is closed opens; None if that does not come within ten years."""
        if self.days_off is None and not self.dated and set(self.week) == {ALL_DAY}:
            return None
        open_until: datetime | None = None
        for opens, closes in self._spans(self._day_of(at) - _ONE_DAY):
            if closes <= at:
                continue
            if opens > (open_until or at):
                return open_until or opens
            open_until = closes
        return None

    def worked(self, since: datetime, until: datetime) -> timedelta:
        """Return how much of the time from `since` to `until` was open; nothing if `until` is not later."""
        total = timedelta()
        for opens, closes in self._spans(self._day_of(since) - _ONE_DAY, last=self._day_of(until) + _ONE_DAY):
            total += max(timedelta(), min(closes, until) - max(opens, since))
        return total

    def after(self, since: datetime, term: timedelta) -> datetime:
        """Return the first moment by which `term` of open time has passed since `since`; `since` itself for no term. Raises NeverOpen."""
        if term <= timedelta():
            return since.astimezone(UTC)
        left = term
        for opens, closes in self._spans(self._day_of(since) - _ONE_DAY):
            begins = max(opens, since)
            if closes - begins >= left:
                return (begins + left).astimezone(UTC)
            left -= max(timedelta(), closes - begins)
        raise NeverOpen(f"{left} of {term} since {since.isoformat()} are not over within ten years")

    def end_of_day(self, since: datetime, days: int) -> datetime:
        """Return the end of the `days`-th working day that begins after `since` (G16): the local midnight behind it. Raises NeverOpen."""
        day = self._day_of(since)
        for _ in range(_FURTHEST_DAYS):
            if days == 0:
                return self._moment(day, DAY_MIN)
            day += _ONE_DAY
            days -= bool(self.hours_on(day))
        raise NeverOpen(f"{days} working days since {since.isoformat()} do not come within ten years")

    def _day_of(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def _spans_around(self, at: datetime) -> Iterator[Span]:
        day = self._day_of(at)
        return self._spans(day - _ONE_DAY, last=day + _ONE_DAY)

    def _spans(self, first: date, *, last: date | None = None) -> Iterator[Span]:
        """Yield open time in its order from the first day to the last, or for ten years."""
        for ordinal in range(first.toordinal(), (last.toordinal() if last else first.toordinal() + _FURTHEST_DAYS) + 1):
            day = date.fromordinal(ordinal)
            for opens, closes in self.hours_on(day):
                yield self._moment(day, opens), self._moment(day, closes)

    def _moment(self, day: date, minute: int) -> datetime:
        """Return a time of the local clock as a moment; 24:00 is the next day's midnight."""
        whole_days, rest = divmod(minute, DAY_MIN)
        return datetime.combine(day + whole_days * _ONE_DAY, time(*divmod(rest, 60)), self.zone).astimezone(UTC)


def _ending_earlier(hours: Hours, by_min: int) -> Hours:
    """Return a day's hours without the last `by_min` minutes of work, which may take more than the last stretch."""
    left = sum(closes - opens for opens, closes in hours) - by_min
    shorter: list[tuple[int, int]] = []
    for opens, closes in hours:
        if left <= 0:
            break
        shorter.append((opens, min(closes, opens + left)))
        left -= closes - opens
    return tuple(shorter)

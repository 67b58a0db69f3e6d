"""Calendars as a clerk writes them, checked, and made into those that count (`events.clocks.calendars`)."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, model_validator

from events.clocks.calendars import DAY_MIN, Calendar, DaysOff, Hours

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2})")
_LEAP_YEAR = 2000
_SATURDAY = _DAYS.index("sat")


def known_zone(zone: str) -> str:
    """Return a zone's name; raise ValueError if there is none of that name."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"no zone is called {zone}") from None
    return zone


def _minute(text: str) -> int:
    found = _TIME.fullmatch(text)
    minute = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else DAY_MIN + 1  # noqa: PLR2004 - minutes of an hour
    if minute > DAY_MIN:
        raise ValueError(f"{text!r} is no time from 00:00 to 24:00")
    return minute


def _hours(written: Any) -> Hours:
    """Return what `["09:00-13:00", "14:00-18:00"]` says; raise ValueError if something ends before it begins, or overlaps."""
    if not isinstance(written, list) or not all(isinstance(one, str) and one.count("-") == 1 for one in written):
        raise ValueError('hours are a list such as ["09:00-13:00", "14:00-18:00"]')
    hours = tuple((_minute(opens), _minute(closes)) for opens, closes in (one.split("-") for one in written))
    free_from = 0
    for (opens, closes), text in zip(hours, written, strict=True):
        if opens >= closes:
            raise ValueError(f"{text!r} ends before it begins")
        if opens < free_from:
            raise ValueError(f"{text!r} overlaps what stands before it")
        free_from = closes
    return hours


def _of_each_year(text: str) -> str:
    try:
        date.fromisoformat(f"{_LEAP_YEAR}-{text}")
    except ValueError:
        raise ValueError(f"{text!r} is no day of a year such as 02-23") from None
    return text


WrittenHours = Annotated[Hours, BeforeValidator(_hours)]
DayOfYear = Annotated[str, AfterValidator(_of_each_year)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _OffByLaw(_Written):
    new_year: tuple[DayOfYear, ...]
    holidays: tuple[DayOfYear, ...]


class Move(_Written):
    """A day off that is worked or lost, and the working day that is off instead."""

    moved_from: date = Field(alias="from")
    to: date


class Decree(_Written):
    """What the government moves within one year."""

    year: int
    act: str
    moved: tuple[Move, ...]

    @model_validator(mode="after")
    def _moves_within_its_year(self) -> "Decree":
        strays = [str(day) for move in self.moved for day in (move.moved_from, move.to) if day.year != self.year]
        if strays:
            raise ValueError(f"not in {self.year}: {', '.join(strays)}")
        if weekdays := [str(move.moved_from) for move in self.moved if move.moved_from.weekday() < _SATURDAY]:
            raise ValueError(f"moved, though no weekend: {', '.join(weekdays)}")
        if weekends := [str(move.to) for move in self.moved if move.to.weekday() >= _SATURDAY]:
            raise ValueError(f"off instead, though a weekend: {', '.join(weekends)}")
        for what, days in (("moved", [move.moved_from for move in self.moved]), ("off instead", [move.to for move in self.moved])):
            if twice := sorted({str(day) for day in days if days.count(day) > 1}):
                raise ValueError(f"{what} twice: {', '.join(twice)}")
        return self


class WrittenCalendar(_Written):
    """One calendar: hours by days of the week (`mon-fri`, `sat`), and by date where a day is unlike others of its name."""

    code: str
    zone: Annotated[str, AfterValidator(known_zone)]
    week: Mapping[str, WrittenHours]
    dated: Mapping[date, WrittenHours] = Field(default_factory=dict)
    working_days_only: bool = False
    short_min: NonNegativeInt = 0

    @model_validator(mode="after")
    def _each_day_once(self) -> "WrittenCalendar":
        days = [day for written in self.week for day in _days_of(written)]
        if twice := [_DAYS[day] for day in sorted(set(days)) if days.count(day) > 1]:
            raise ValueError(f"hours are given twice for {', '.join(twice)}")
        if not any(self.week.values()):
            raise ValueError("a calendar that is never open is of no use")
        return self

    def as_counted(self, days_off: DaysOff) -> Calendar:
        """Return the calendar that counts."""
        by_day = {day: hours for written, hours in self.week.items() for day in _days_of(written)}
        week = tuple(by_day.get(day, ()) for day in range(len(_DAYS)))
        return Calendar(ZoneInfo(self.zone), week, self.dated, days_off if self.working_days_only else None, self.short_min)


def _days_of(written: str) -> range:
    """Return the days, Monday 0, that `mon-fri` or `sat` names."""
    first, _, last = written.partition("-")
    if first not in _DAYS or (last or first) not in _DAYS or _DAYS.index(last or first) < _DAYS.index(first):
        raise ValueError(f"{written!r} names no days; they are called {', '.join(_DAYS)}, or from-to such as mon-fri")
    return range(_DAYS.index(first), _DAYS.index(last or first) + 1)


class Calendars(_Written):
    """All calendars, and the days off that those of working days follow."""

    days_off: _OffByLaw
    decrees: tuple[Decree, ...]
    calendars: tuple[WrittenCalendar, ...]

    @model_validator(mode="after")
    def _each_once(self) -> "Calendars":
        for what, names in (("year", [str(decree.year) for decree in self.decrees]), ("calendar", [one.code for one in self.calendars])):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what} given twice: {', '.join(twice)}")
        return self

    @cached_property
    def by_code(self) -> Mapping[str, Calendar]:
        """Calendars by their code."""
        moved = {move.moved_from: move.to for decree in self.decrees for move in decree.moved}
        by_law = DaysOff(_month_days(self.days_off.new_year), _month_days(self.days_off.holidays), moved)
        return {one.code: one.as_counted(by_law) for one in self.calendars}


def _month_days(written: tuple[str, ...]) -> frozenset[tuple[int, int]]:
    return frozenset((int(text[:2]), int(text[3:])) for text in written)

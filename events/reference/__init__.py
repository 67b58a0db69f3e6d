"""Reference data: what a clerk of the hotline may change without touching code; read and checked once, at the start of a process.

Numbers of lines, terms, limits and registers stand in TOML files beside this one (FILES) or in the folder that the settings name.
"""

import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from events.numbers import FEWEST_DIGITS, MOST_DIGITS, PREFIX
from events.reference.calendars import Calendars, known_zone

_PACKAGED = Path(__file__).parent
#: The files, each with what of the reference data it holds; the first holds everything that no other does.
FILES = ("service.toml", "calendars.toml")

#: What retention knows a floor of (R212, G22); each must have one, or nobody could say how long it is kept.
RECORD_CLASSES = frozenset({"recording", "attachment", "letter", "contact", "ticket"})
Prefix = Annotated[str, Field(pattern=f"^{PREFIX}$")]


class ReferenceInvalid(Exception):
    """The reference data breaks its own rules; the message lists every error."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Part):
    """Upper bounds of what is taken in."""

    json_bytes: PositiveInt
    letter_bytes: PositiveInt
    facts_per_request: PositiveInt
    text_in_event_bytes: PositiveInt  # a longer text is refused; a letter's is cut, and the stored letter keeps it all


class Parking(_Part):
    """How much a consumer may park before it stops, because the fault is ours and not the records'."""

    in_a_row: PositiveInt  # records that failed with none between them that did not
    percent: PositiveInt  # of the records last seen
    of_last: PositiveInt


class Clocks(_Part):
    """What is known of the clocks of our machines."""

    differ_s: PositiveInt  # at most; answers about a moment are final only so much later


class Drift(_Part):
    """How quickly the drift audit goes through all tickets, and what it may take for that."""

    window_s: PositiveInt  # within which every ticket shall be compared once
    slices: int = Field(ge=1, le=1_000)  # passes that make up the window
    records_per_s: PositiveInt  # read from the log at most
    tickets_per_pass: PositiveInt  # held in memory at most; where a slice holds more, slices become narrower


class Numbers(_Part):
    """How ticket numbers look (R320-R323)."""

    default_prefix: Prefix
    digits: int = Field(ge=FEWEST_DIGITS, le=MOST_DIGITS)  # at least so many; the sequence may outgrow them
    prefix_of_kind: Mapping[str, Prefix]


class Line(_Part):
    """A telephone line (G30): its number, when it is open, and what a call to it is about until somebody says otherwise."""

    code: str
    number: Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$")] | None = None  # as E.164 has it; the document gives the federal line none
    hours: str  # code of a calendar (G1, G2)
    kind: str | None = None
    language: str = ""


class Reference(_Part):
    """One version of the reference data."""

    version: PositiveInt
    zone: Annotated[str, AfterValidator(known_zone)]
    limits: Limits
    parking: Parking
    clocks: Clocks
    drift: Drift
    numbers: Numbers
    kind_of_channel: Mapping[str, str]
    floor_years: Mapping[str, PositiveInt]
    lines: tuple[Line, ...]
    calendars: Calendars

    @field_validator("floor_years")
    @classmethod
    def _every_class_has_a_floor(cls, floor_years: Mapping[str, int]) -> Mapping[str, int]:
        if floor_years.keys() != RECORD_CLASSES:
            missing, unknown = sorted(RECORD_CLASSES - floor_years.keys()), sorted(floor_years.keys() - RECORD_CLASSES)
            raise ValueError(f"one floor for each class of records: missing {missing}, unknown {unknown}")
        return floor_years

    @model_validator(mode="after")
    def _lines_are_told_apart_and_have_hours(self) -> "Reference":
        codes = [line.code for line in self.lines]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        without = [f"{line.code}: {line.hours}" for line in self.lines if line.hours not in self.calendars.by_code]
        if twice or without:
            raise ValueError(f"lines: given twice {twice}, of a calendar that is not there {without}")
        return self

    @cached_property
    def service_zone(self) -> ZoneInfo:
        """Zone of numbers' years and of retention terms (G2, G6)."""
        return ZoneInfo(self.zone)

    @cached_property
    def line(self) -> Mapping[str, Line]:
        """Lines by their code."""
        return {line.code: line for line in self.lines}

    def prefix_of(self, kind: str) -> str:
        """Return the prefix a ticket of `kind` gets (R321, G5)."""
        return self.numbers.prefix_of_kind.get(kind, self.numbers.default_prefix)

    def kind_of(self, channel: str, line: str) -> str:
        """Return what a ticket is until somebody says otherwise."""
        known = self.line.get(line)
        return (known.kind if known else None) or self.kind_of_channel.get(channel, "request")


def load(folder: Path | None = None) -> Reference:
    """Read the reference data from `folder` (default: the packaged one); raise ReferenceInvalid with all errors at once."""
    folder = folder or _PACKAGED
    service, *others = (_read(folder / name) for name in FILES)
    parts = {Path(name).stem: part for name, part in zip(FILES[1:], others, strict=True)}
    try:
        return Reference.model_validate(service | parts)
    except ValidationError as invalid:
        raise ReferenceInvalid(
            "\n".join(_told(folder, error["loc"], error["msg"]) for error in invalid.errors(include_url=False))
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as unreadable:
        raise ReferenceInvalid(f"{path}: {unreadable}") from unreadable


def _told(folder: Path, where: tuple[int | str, ...], what: str) -> str:
    """Return an error with the file it is in; what is wrong between files is said of the first."""
    of_part = f"{where[0]}.toml" if where else ""
    name, inside = (of_part, where[1:]) if of_part in FILES[1:] else (FILES[0], where)
    return f"{folder / name}: {'.'.join(map(str, inside))}: {what}"

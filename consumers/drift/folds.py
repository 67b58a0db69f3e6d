"""What the log makes of the tickets of one slice of one partition, held against what a view shows of them.

A fold is fed up to the position of its model, in the order of the log; what waits parked is withheld until it was tried again, what an
ended era said is left out. Knows records and rows, neither Kafka nor Postgres.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from consumers.drift.log import Raw
from consumers.drift.oracle import AUDIT_MODEL, Key, Life, Row, Terms, Told, View, audit_row
from events.envelope import Decision
from events.numbers import is_number
from events.outcomes import CauseSettled, EraOpened
from events.places import Partition
from events.wire.partitioning import bucket_of

FIRST_ERA = 1

DIFFERS, MISSING, UNEXPLAINED, STRAY = "differs", "missing", "unexplained", "stray"


class Finding(NamedTuple):
    """One thing that a read model does not hold as the log says: names of places and columns, never a value of them."""

    model: str
    key: str  # ticket number; of the audit log topic/partition/offset
    what: str  # differs, missing, unexplained (no record says so), stray (key and number disagree), fork, hole
    columns: tuple[str, ...]
    bucket: int
    ticket: str | None


def about_ticket(model: str, number: str, what: str, columns: Iterable[str] = ()) -> Finding:
    """Return a finding about a ticket's rows. What is no number is not shown: anybody may have written it there."""
    bucket = bucket_of(number.encode())
    ticket = number if is_number(number) else None
    return Finding(model, ticket or f"no number, bucket {bucket}", what, tuple(sorted(columns)), bucket, ticket)


def about_record(model: str, place: Partition, offset: int, key: bytes, what: str, columns: Iterable[str] = ()) -> Finding:
    """Return a finding about one record."""
    number = key.decode("utf-8", "replace")
    name = f"{place[0]}/{place[1]}/{offset}"
    return Finding(model, name, what, tuple(sorted(columns)), bucket_of(key), number if is_number(number) else None)


def _differing(want: Row, have: Row) -> set[str]:
    return {column for column, value in want.items() if have.get(column) != value}


class TicketFold:
    """What one view must show of the tickets of a slice, as far as one partition tells."""

    def __init__(self, view: View, place: Partition, terms: Terms) -> None:
        self.view, self.model, self.place = view, view.model, place
        self.fed = 0
        self.lives: dict[str, Life] = {}
        self.strays: list[Finding] = []
        self._terms = terms
        self._era = FIRST_ERA
        self._parked: Mapping[bytes, int] = {}
        self._withheld: dict[bytes, list[tuple[int, Any]]] = {}

    def know_parked(self, parked: Mapping[bytes, int]) -> None:
        """Learn which keys wait from which offset on; what waited and was tried again since is told now."""
        self._parked = parked
        for key, records in list(self._withheld.items()):
            first = parked.get(key)
            for offset, event in records:
                if first is None or offset < first:
                    self._tell(event, offset)
            left = [] if first is None else [one for one in records if one[0] >= first]
            if left:
                self._withheld[key] = left
            else:
                del self._withheld[key]

    def feed(self, raw: Raw, event: Any) -> None:
        """Take the next record of the slice, or the mark of an era."""
        if isinstance(event, EraOpened):
            self._era = max(self._era, event.era)
        if not isinstance(event, Decision) or "\0" in event.number:  # Postgres takes no NUL in a text: such a record waits parked
            return
        if event.number.encode() != raw.key:
            self.strays.append(about_record(self.model, self.place, raw.offset, raw.key, STRAY))
            return
        self.lives.setdefault(event.number, Life())  # met, even if what it said does not count
        if event.era < self._era:
            return
        first = self._parked.get(raw.key)
        if first is not None and raw.offset >= first:
            self._withheld.setdefault(raw.key, []).append((raw.offset, event))
        else:
            self._tell(event, raw.offset)

    def _tell(self, event: Any, offset: int) -> None:
        self.view.tell(self.lives[event.number], Told(event, self.place[1], offset), self._terms)

    def differences(self, rows: Mapping[str, Mapping[Key, Row]], numbers: Iterable[str]) -> list[Finding]:
        """Hold `rows`, by ticket and key, against what the log says of `numbers`; one finding for each kind of difference of a ticket."""
        return [found for number in numbers for found in self._of_ticket(number, self.lives[number], rows.get(number, {}))]

    def _of_ticket(self, number: str, life: Life, rows: Mapping[Key, Row]) -> list[Finding]:
        if life.wrong:
            return [about_ticket(self.model, number, life.wrong)]
        found = []
        if columns := {c for key in life.rows.keys() & rows.keys() for c in _differing(life.rows[key], rows[key])}:
            found.append(about_ticket(self.model, number, DIFFERS, columns))
        if life.rows.keys() - rows.keys():
            found.append(about_ticket(self.model, number, MISSING))
        if rows.keys() - life.rows.keys():
            found.append(about_ticket(self.model, number, UNEXPLAINED))
        return found


class AuditFold:
    """What the audit log must hold of the records of a slice; they are asked for in batches and then forgotten."""

    model = AUDIT_MODEL

    def __init__(self, place: Partition) -> None:
        self.place, self.fed = place, 0
        self.waiting: dict[int, tuple[bytes, Row]] = {}  # not compared yet, by offset: key and expected row
        self._era = FIRST_ERA
        self._parked: Mapping[bytes, int] = {}

    def know_parked(self, parked: Mapping[bytes, int]) -> None:
        """Learn which keys wait from which offset on: they have no row yet."""
        self._parked = parked

    def feed(self, raw: Raw, event: Any) -> None:
        """Take the next record of the slice, or the mark of an era."""
        if isinstance(event, EraOpened):
            self._era = max(self._era, event.era)
        void = isinstance(event, Decision | CauseSettled) and event.era < self._era
        if raw.offset < self._parked.get(raw.key, raw.offset + 1):
            self.waiting[raw.offset] = raw.key, audit_row(event, raw.key, raw.appended_at, raw.value, void=void)

    def differences(self, rows: Mapping[int, Row], offsets: Sequence[int]) -> list[Finding]:
        """Hold `rows`, by offset, against what the records at `offsets` say."""
        found = []
        for offset in offsets:
            key, want = self.waiting[offset]
            have = rows.get(offset)
            if have is None:
                found.append(about_record(self.model, self.place, offset, key, MISSING))
            elif columns := _differing(want, have):
                found.append(about_record(self.model, self.place, offset, key, DIFFERS, columns))
        return found

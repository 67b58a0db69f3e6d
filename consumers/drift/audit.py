"""One pass of the audit: the log read partition by partition, a slice of it folded by the oracle and compared with what readers see.

A partition is first read as far as the slowest model has come, then on to where each stood when its rows were looked at: so live traffic
is never taken for drift. What differs is looked at a second time before it counts. Knows how to find; what becomes of it is decided by
whoever called.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg import Connection

from consumers.drift import looking
from consumers.drift.folds import UNEXPLAINED, AuditFold, Finding, TicketFold, about_record, about_ticket
from consumers.drift.log import Log, Raw
from consumers.drift.looking import Look
from consumers.drift.oracle import AUDIT_COLUMNS, AUDIT_MODEL, VIEWS, Terms, View
from consumers.drift.slices import Slice
from events.envelope import TICKETS
from events.places import Partition
from projectors.audit_log import AUDIT_LOG

AUDITED: tuple[str, ...] = tuple(dict.fromkeys([view.model for view in VIEWS] + [AUDIT_MODEL]))
MOST_FINDINGS = 1_000  # of one pass; where more is wrong, more passes or a rebuild are the answer
_CLOSE_RECORDS = 2_000  # so near to the model's position its rows may be looked at
_MOST_CHASES = 5
_AUDIT_AT_ONCE = 500


class SliceTooWide(Exception):
    """The slice holds more tickets than one pass may keep in memory: take a narrower one."""


class SteppedBack(Exception):
    """A model's position is lower than it was: another build serves now. Begin the pass again."""


@dataclass
class Found:
    """What one pass read, met and found."""

    records: int = 0  # of the slice, on all topics
    tickets: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, findings: Sequence[Finding]) -> None:
        """Keep `findings`, up to the bound of a pass; the same thing once."""
        known = {(one.model, one.key, one.what) for one in self.findings}
        fresh = [one for one in findings if (one.model, one.key, one.what) not in known]
        self.findings += fresh[: MOST_FINDINGS - len(self.findings)]


class Task(NamedTuple):
    """What a pass shall do: which models, which slice, under which terms, keeping how many tickets at most."""

    models: Sequence[str]
    wanted: Slice
    terms: Terms
    most_tickets: int


def audit(log: Log, db: Connection[Any], task: Task) -> Found:
    """Make one pass; `db` is a connection of `looking.looking`.

    Raises SliceTooWide and SteppedBack, Stopped, what the log raises when it is not what was read, KafkaException and
    psycopg.OperationalError when a part is away, UnknownSchema when a newer producer wrote.
    """
    found = Found()
    met = {view: _Met() for view in VIEWS if view.model in task.models}
    ends = looking.list_ends(db, task.models, log.topic_ids(_topics(task.models)))
    for place in ends:
        for fold in _audit_partition(log, db, task, place, found):
            met[fold.view].add(fold)
            if len(met[fold.view].numbers) > task.most_tickets:
                raise SliceTooWide
    found.tickets = max((len(one.numbers) for one in met.values()), default=0)
    for view, one in met.items():
        found.add(_unexplained(log, db, task, view, one))
    if AUDIT_MODEL in task.models and task.wanted.only is None:
        found.add(_nowhere(db, ends))
    return found


class _Met:
    """The tickets of one view that a pass has met on the log, and how far it has read each partition for that."""

    def __init__(self) -> None:
        self.numbers: set[str] = set()
        self.read_to: dict[Partition, int] = {}

    def add(self, fold: TicketFold) -> None:
        self.numbers |= fold.lives.keys()
        self.read_to[fold.place] = fold.fed


def size_of(log: Log, db: Connection[Any], models: Sequence[str]) -> int:
    """Return how many records a pass over `models` reads."""
    return sum(max(by_model.values()) for by_model in looking.list_ends(db, models, log.topic_ids(_topics(models))).values())


def _topics(models: Sequence[str]) -> list[str]:
    return list(AUDIT_LOG.topics) if AUDIT_MODEL in models else [TICKETS]


def _audit_partition(log: Log, db: Connection[Any], task: Task, place: Partition, found: Found) -> list[TicketFold]:
    """Audit one partition; return what was folded there."""
    folds = [TicketFold(view, place, task.terms) for view in VIEWS if view.model in task.models] if place[0] == TICKETS else []
    audits = [AuditFold(place)] if AUDIT_MODEL in task.models else []
    reading = _Reading(log, db, task, place, [*folds, *audits], found)
    reading.chase()
    for fold in folds:
        found.add(fold.strays)
    if suspects := reading.compare({fold.view: list(fold.lives) for fold in folds}):
        keys = {one.key for one in suspects}
        again = {fold.view: [n for n in fold.lives if about_ticket(fold.model, n, "").key in keys] for fold in folds}
        still = {(one.model, one.key, one.what) for one in suspects}
        found.add([one for one in reading.compare(again) if (one.model, one.key, one.what) in still])
    return folds


def _unexplained(log: Log, db: Connection[Any], task: Task, view: View, met: _Met) -> list[Finding]:
    """Return a finding for each ticket of the slice that has rows and that no record speaks of, up to where the model stands."""
    only = None if task.wanted.only is None else task.wanted.only.decode("utf-8", "replace")
    suspects: list[str] = []
    for batch in looking.numbers_in(db, view, only):
        log.pace.check()
        suspects += [number for number in batch if number not in met.numbers and task.wanted.holds(number.encode())]
    if not suspects:
        return []
    topic_ids = log.topic_ids([TICKETS])
    with db.transaction():
        ends = looking.list_ends(db, [view.model], topic_ids)
        there = looking.rows_of(db, view, suspects)
    keys, told = {number.encode() for number in suspects}, set()
    for place, end in ends.items():
        first, past = met.read_to.get(place, 0), end[view.model]
        if past < first:
            raise SteppedBack(view.model)
        if first < past:
            told |= {raw.key for raw in log.read(place, first, past) if raw.key in keys}
    return [about_ticket(view.model, number, UNEXPLAINED) for number in suspects if number in there and number.encode() not in told]


def _nowhere(db: Connection[Any], ends: Iterable[Partition]) -> list[Finding]:
    """Return rows of the audit log in partitions that no topic has."""
    counts: dict[str, int] = {}
    for topic, partition in ends:
        counts[topic] = max(counts.get(topic, 0), partition + 1)
    return [
        about_record(AUDIT_MODEL, (topic, partition), offset, subject.encode(), UNEXPLAINED)
        for topic, count in counts.items()
        for partition, offset, subject in looking.audit_rows_nowhere(db, topic, count, MOST_FINDINGS)
    ]


class _Reading:
    """One partition on its way through a pass."""

    def __init__(
        self, log: Log, db: Connection[Any], task: Task, place: Partition, folds: Sequence[TicketFold | AuditFold], found: Found
    ) -> None:
        self._log, self._db, self._task, self._place = log, db, task, place
        self._folds, self._found = folds, found
        self._models = [fold.model for fold in folds]

    def chase(self) -> None:
        """Read until little is left of what the models have applied."""
        for _ in range(_MOST_CHASES):
            with self._db.transaction():
                look = looking.look_at(self._db, self._place, self._models)
            if self._catch_up(look) <= _CLOSE_RECORDS:
                return

    def compare(self, numbers: dict[View, list[str]]) -> list[Finding]:
        """Look at the rows of `numbers` and where the models stand, read on to there, and return what differs."""
        with self._db.transaction():
            look = looking.look_at(self._db, self._place, self._models)
            rows = {view: looking.rows_of(self._db, view, asked) for view, asked in numbers.items() if view.model in look.next_offset}
            outside = self._outside(look)
        self._catch_up(look)
        found = outside
        for fold in self._folds:
            if isinstance(fold, AuditFold):
                self._found.add(self._settle(fold))
            elif fold.view in rows:
                found += fold.differences(rows[fold.view], numbers[fold.view])
        return found

    def _catch_up(self, look: Look) -> int:
        """Feed each fold up to where its model stands; return how many records that took."""
        ends = {fold.model: look.next_offset.get(fold.model, 0) for fold in self._folds}
        for fold in self._folds:
            if ends[fold.model] < fold.fed:
                raise SteppedBack(fold.model)
            fold.know_parked(look.parked.get(fold.model, {}))
        behind = [fold for fold in self._folds if fold.fed < ends[fold.model]]
        if not behind:
            return 0
        first, past = min(fold.fed for fold in behind), max(ends[fold.model] for fold in behind)
        for raw in self._log.read(self._place, first, past):
            ours, mark = self._task.wanted.holds(raw.key), self._log.marks_an_era(raw)
            if ours or mark:
                self._feed([fold for fold in behind if fold.fed <= raw.offset < ends[fold.model]], raw, ours=ours)
        for fold in behind:
            fold.fed = ends[fold.model]
        return past - first

    def _feed(self, folds: Sequence[TicketFold | AuditFold], raw: Raw, *, ours: bool) -> None:
        event = self._log.event_of(self._place[0], raw)
        self._found.records += ours
        for fold in folds:
            fold.feed(raw, event)
            if isinstance(fold, TicketFold) and len(fold.lives) > self._task.most_tickets:
                raise SliceTooWide
            if isinstance(fold, AuditFold) and len(fold.waiting) >= _AUDIT_AT_ONCE:
                self._found.add(self._settle(fold))

    def _settle(self, fold: AuditFold) -> list[Finding]:
        """Compare what waits; all of it lies before the position, so its rows are there or never will be."""
        offsets = list(fold.waiting)
        found = fold.differences(self._audit_rows(offsets), offsets)
        if found:
            differing = [int(one.key.rpartition("/")[2]) for one in found]
            found = fold.differences(self._audit_rows(differing), differing)
        fold.waiting.clear()
        return found

    def _audit_rows(self, offsets: Sequence[int]) -> dict[int, dict[str, Any]]:
        return looking.audit_rows_at(self._db, self._place, offsets, AUDIT_COLUMNS)

    def _outside(self, look: Look) -> list[Finding]:
        """Return rows of the audit log past the position that the same look saw."""
        end = look.next_offset.get(AUDIT_MODEL)
        if AUDIT_MODEL not in self._models or end is None:
            return []
        outside = looking.audit_rows_outside(self._db, self._place, end, MOST_FINDINGS)
        only = self._task.wanted.only
        found = [(offset, subject.encode()) for offset, subject in outside]
        return [about_record(AUDIT_MODEL, self._place, o, key, UNEXPLAINED) for o, key in found if only is None or key == only]
